#include "text/stream_decoder.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "text/unicode.h"

namespace rung::text {
namespace {

// Bytes that never become a character are not held back longer than this.
constexpr size_t kMaxPending = 64;

// The length of what two texts share from their start, in whole characters.
size_t common_prefix(std::string_view a, std::string_view b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  auto length = static_cast<size_t>(end - a.begin());
  while (length > 0 && length < b.size() && is_continuation_byte(b[length])) --length;
  return length;
}

}  // namespace

std::string StreamDecoder::push(int32_t id) {
  ids_.push_back(id);
  const bool full = ids_.size() - num_context_ > kMaxPending;
  if (!full && tokenizer_.waits_behind(id)) return "";
  if (!full && ends_with_replacement(tokenizer_.decode(ids_, special_))) return "";
  return release();
}

std::string StreamDecoder::finish() {
  std::string text = release();
  ids_.clear();
  num_context_ = 0;
  return text;
}

std::string StreamDecoder::release() {
  const std::string before = tokenizer_.decode(std::span(ids_).first(num_context_), special_);
  const std::string text = tokenizer_.decode(ids_, special_);
  std::string released = text.substr(common_prefix(before, text));
  if (released.empty()) return released;
  // Tokens without text (special ones, a prefix space) do not serve as context: the first one with
  // text keeps its place.
  if (!tokenizer_.decode(std::span(ids_).subspan(num_context_), special_).empty()) {
    ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(num_context_));
  }
  num_context_ = ids_.size();
  return released;
}

}  // namespace rung::text
