// Texts of files, which may be of any length, at a length that a page or a screen has room for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

namespace rung::monitor {

// At most `most` bytes of `text`, with dots in the place of the rest. No character is cut in half.
inline std::string cut_text(std::string text, size_t most) {
  constexpr const char* kDots = "...";
  if (text.size() <= most) return text;
  size_t end = most - std::min<size_t>(most, 3);
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + kDots;
}

}  // namespace rung::monitor
