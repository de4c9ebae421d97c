#include "text/tokenizer/split_pattern.h"

#include <algorithm>
#include <string>
#include <utility>

namespace rung::text {
namespace {

Piece part_of(const Stretch& stretch) {
  return {static_cast<int32_t>(stretch.begin), static_cast<int32_t>(stretch.end), kNoToken};
}

std::vector<Stretch> find_literal(std::string_view text, std::string_view literal) {
  std::vector<Stretch> stretches;
  size_t from = 0;
  for (size_t at = text.find(literal); at != std::string_view::npos;
       at = text.find(literal, from)) {
    if (from < at) stretches.push_back({from, at, false});
    from = at + literal.size();
    stretches.push_back({at, from, true});
  }
  if (from < text.size()) stretches.push_back({from, text.size(), false});
  return stretches;
}

void append_contiguous(const std::vector<Stretch>& stretches, std::vector<Piece>& parts) {
  const size_t first = parts.size();
  bool previous = false;
  for (const Stretch& stretch : stretches) {
    if (stretch.matched == previous && parts.size() > first) {
      parts.back().end = static_cast<int32_t>(stretch.end);
    } else {
      parts.push_back(part_of(stretch));
    }
    previous = stretch.matched;
  }
}

// A match joins the stretch before it unless that is a match too.
void append_merged_with_previous(const std::vector<Stretch>& stretches, std::vector<Piece>& parts) {
  const size_t first = parts.size();
  bool previous = false;
  for (const Stretch& stretch : stretches) {
    if (stretch.matched && !previous && parts.size() > first) {
      parts.back().end = static_cast<int32_t>(stretch.end);
    } else {
      parts.push_back(part_of(stretch));
    }
    previous = stretch.matched;
  }
}

void append_merged_with_next(const std::vector<Stretch>& stretches, std::vector<Piece>& parts) {
  const size_t first = parts.size();
  bool next = false;
  for (auto stretch = stretches.rbegin(); stretch != stretches.rend(); ++stretch) {
    if (stretch->matched && !next && parts.size() > first) {
      parts.back().begin = static_cast<int32_t>(stretch->begin);
    } else {
      parts.push_back(part_of(*stretch));
    }
    next = stretch->matched;
  }
  std::reverse(parts.begin() + static_cast<std::ptrdiff_t>(first), parts.end());
}

}  // namespace

Pattern::Pattern(const JsonField& field) {
  const JsonField regex = field["Regex"];
  if (!regex.is_null()) {
    regex_.emplace(regex.string(), regex.where());
    return;
  }
  const JsonField literal = field["String"];
  if (literal.is_null()) field.fail("{\"String\": ...} or {\"Regex\": ...}");
  literal_ = literal.string();
  if (literal_.empty()) literal.refuse("an empty pattern");
}

Pattern Pattern::regex(std::string pattern, std::string where) {
  Pattern result;
  result.regex_.emplace(std::move(pattern), std::move(where));
  return result;
}

std::vector<Stretch> Pattern::find(std::string_view text) const {
  if (!regex_) return find_literal(text, literal_);
  std::vector<Stretch> stretches;
  size_t previous_end = 0;
  for (const Match& match : regex_->find_all(text)) {
    if (previous_end < match.begin) stretches.push_back({previous_end, match.begin, false});
    stretches.push_back({match.begin, match.end, true});
    previous_end = match.end;
  }
  if (previous_end < text.size()) stretches.push_back({previous_end, text.size(), false});
  return stretches;
}

SplitBehavior read_split_behavior(const JsonField& field) {
  const std::string& name = field.string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  field.fail("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

void append_parts(const std::vector<Stretch>& stretches, SplitBehavior behavior,
                  std::vector<Piece>& parts) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      for (const Stretch& stretch : stretches) {
        if (!stretch.matched) parts.push_back(part_of(stretch));
      }
      return;
    case SplitBehavior::kIsolated:
      for (const Stretch& stretch : stretches) parts.push_back(part_of(stretch));
      return;
    case SplitBehavior::kMergedWithPrevious:
      return append_merged_with_previous(stretches, parts);
    case SplitBehavior::kMergedWithNext:
      return append_merged_with_next(stretches, parts);
    case SplitBehavior::kContiguous:
      return append_contiguous(stretches, parts);
  }
}

}  // namespace rung::text
