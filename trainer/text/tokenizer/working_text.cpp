#include "text/tokenizer/working_text.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace rung::text {
namespace {

constexpr size_t kMaxRewrittenBytes = 256 << 20;

void check_size(size_t bytes) {
  if (bytes <= kMaxRewrittenBytes) return;
  throw Error(ExitCode::kConfig, {.what = "the tokenizer's normalization makes the text too long",
                                  .expected = "at most 256 MiB",
                                  .hint = "split the text"});
}

}  // namespace

void AlignedText::append(std::string_view bytes, Source source) {
  check_size(text.size() + bytes.size());
  text.append(bytes);
  sources.insert(sources.end(), bytes.size(), source);
}

WorkingText::WorkingText(std::string_view original) : original_(original) {
  if (!original.empty()) pieces_.push_back({0, static_cast<int32_t>(original.size()), kNoToken});
}

Source WorkingText::source(int32_t begin, int32_t end) const {
  if (aligned_) {
    return {current_.sources[static_cast<size_t>(begin)].begin,
            current_.sources[static_cast<size_t>(end) - 1].end};
  }
  auto first = static_cast<size_t>(begin);
  auto last = static_cast<size_t>(end);
  while (is_continuation_byte(original_[first])) --first;
  while (last < original_.size() && is_continuation_byte(original_[last])) ++last;
  return {static_cast<int32_t>(first), static_cast<int32_t>(last)};
}

void WorkingText::split(const Cut& cut) {
  std::vector<Piece> pieces;
  pieces.reserve(pieces_.size());
  for (const Piece& piece : pieces_) {
    if (piece.token != kNoToken) {
      pieces.push_back(piece);
      continue;
    }
    const size_t first = pieces.size();
    cut(text(piece), pieces);
    for (size_t i = first; i < pieces.size(); ++i) {
      pieces[i].begin += piece.begin;
      pieces[i].end += piece.begin;
    }
    const auto is_empty = [](const Piece& part) { return part.begin >= part.end; };
    pieces.erase(
        std::remove_if(pieces.begin() + static_cast<std::ptrdiff_t>(first), pieces.end(), is_empty),
        pieces.end());
  }
  pieces_ = std::move(pieces);
}

void WorkingText::rewrite(const Applies& applies, const Change& change) {
  const auto changes = [&](const Piece& piece) {
    return piece.token == kNoToken && applies(piece);
  };
  if (std::none_of(pieces_.begin(), pieces_.end(), changes)) return;
  AlignedText next;
  std::vector<Piece> pieces;
  pieces.reserve(pieces_.size());
  for (const Piece& piece : pieces_) {
    AlignedText part = extract(piece);
    if (changes(piece)) change(part);
    if (part.text.empty()) continue;
    check_size(next.text.size() + part.text.size());
    const auto begin = static_cast<int32_t>(next.text.size());
    next.text += part.text;
    next.sources.insert(next.sources.end(), part.sources.begin(), part.sources.end());
    pieces.push_back({begin, static_cast<int32_t>(next.text.size()), piece.token});
  }
  current_ = std::move(next);
  aligned_ = true;
  pieces_ = std::move(pieces);
}

AlignedText WorkingText::extract(const Piece& piece) const {
  AlignedText part{std::string(text(piece)), {}};
  part.sources.reserve(part.text.size());
  for (int32_t i = piece.begin; i < piece.end; ++i) part.sources.push_back(source(i, i + 1));
  return part;
}

}  // namespace rung::text
