#include "base/error.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "base/console.h"

namespace rung {
namespace {

// Length of the valid UTF-8 sequence that starts at text[begin], 0 where there is none.
size_t utf8_length(std::string_view text, size_t begin) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(begin);
  const size_t length = lead < 0x80   ? 1
                        : lead < 0xc2 ? 0
                        : lead < 0xe0 ? 2
                        : lead < 0xf0 ? 3
                        : lead < 0xf5 ? 4
                                      : 0;
  if (length == 0 || begin + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(begin + i) & 0xc0) != 0x80) return 0;
  }
  if ((lead == 0xe0 && byte(begin + 1) < 0xa0) || (lead == 0xed && byte(begin + 1) > 0x9f) ||
      (lead == 0xf0 && byte(begin + 1) < 0x90) || (lead == 0xf4 && byte(begin + 1) > 0x8f)) {
    return 0;  // overlong, surrogate or above U+10FFFF
  }
  return length;
}

}  // namespace

Error::Error(ExitCode code, ErrorParts parts)
    : std::runtime_error(format_error(parts)), code_(code), parts_(std::move(parts)) {}

std::string format_error(const ErrorParts& parts) {
  std::string text = parts.what;
  if (!parts.got.empty()) text += fmt::format(": got {}", parts.got);
  if (!parts.expected.empty())
    text += fmt::format("{} expected {}", parts.got.empty() ? ":" : ",", parts.expected);
  if (!parts.hint.empty()) text += fmt::format("; {}", parts.hint);
  if (!parts.where.empty()) text += fmt::format(" ({})", parts.where);
  return one_line(text);
}

std::string escape_for_terminal(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    const auto lead = static_cast<unsigned char>(text[i]);
    const bool c1_control =
        length == 2 && lead == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (length == 0 || (lead < 0x20 && lead != '\n' && lead != '\t') || lead == 0x7f ||
        c1_control) {
      const size_t bytes = length == 0 ? 1 : length;
      for (size_t j = 0; j < bytes; ++j)
        escaped += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i + j]));
      i += bytes;
    } else {
      escaped.append(text, i, length);
      i += length;
    }
  }
  return escaped;
}

}  // namespace rung
