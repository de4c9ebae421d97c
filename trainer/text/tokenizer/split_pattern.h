// Patterns that cut text, and what becomes of the matches: the Split pre-tokenizer's behaviours.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "text/regex.h"
#include "text/tokenizer/json_field.h"
#include "text/tokenizer/working_text.h"

namespace rung::text {

// A stretch between or of matches; all stretches together cover the text.
struct Stretch {
  size_t begin = 0;
  size_t end = 0;
  bool matched = false;
};

// {"String": "..."} or {"Regex": "..."}.
class Pattern {
 public:
  explicit Pattern(const JsonField& field);
  static Pattern regex(std::string pattern, std::string where);

  // `text` is not empty.
  std::vector<Stretch> find(std::string_view text) const;

  // True for a plain string, which is then `literal`.
  const std::string& literal() const { return literal_; }

 private:
  Pattern() = default;

  std::string literal_;  // where regex_ is absent
  std::optional<Regex> regex_;
};

// Stretches of characters for which `matches` is true, each character its own match.
template <typename Predicate>
std::vector<Stretch> find_characters(std::string_view text, const Predicate& matches) {
  std::vector<Stretch> stretches;
  size_t unmatched = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    if (matches(c.value)) {
      if (unmatched < i) stretches.push_back({unmatched, i, false});
      stretches.push_back({i, i + c.length, true});
      unmatched = i + c.length;
    }
    i += c.length;
  }
  if (unmatched < text.size()) stretches.push_back({unmatched, text.size(), false});
  return stretches;
}

// For '-' in "the-final--countdown":
enum class SplitBehavior {
  kRemoved,             // the | final | countdown
  kIsolated,            // the | - | final | - | - | countdown
  kMergedWithPrevious,  // the- | final- | - | countdown
  kMergedWithNext,      // the | -final | - | -countdown
  kContiguous,          // the | - | final | -- | countdown
};

SplitBehavior read_split_behavior(const JsonField& field);

void append_parts(const std::vector<Stretch>& stretches, SplitBehavior behavior,
                  std::vector<Piece>& parts);

}  // namespace rung::text
