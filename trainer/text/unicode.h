// UTF-8 and the Unicode properties that tokenization asks for.
//
// Classes follow the Unicode data of utf8proc 2.8 (Unicode 14); code points assigned later count as
// unassigned. Source of the UTF-8 rules: the Unicode Standard, table 3-7 and section 3.9.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rung::text {

struct CodePoint {
  char32_t value = 0;
  uint32_t length = 0;  // bytes
};

// The code point that starts at text[begin]; text is valid UTF-8 and begin a boundary in it.
inline CodePoint code_point_at(std::string_view text, size_t begin) {
  const auto byte = [&](size_t i) -> char32_t {
    return static_cast<unsigned char>(text[begin + i]);
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xe0) return {(lead & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  if (lead < 0xf0) return {(lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f),
          4};
}

// The code point that ends before text[end], end > 0.
CodePoint code_point_before(std::string_view text, size_t end);

// True for the second and later bytes of a multi-byte sequence.
inline bool is_continuation_byte(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

void append_utf8(char32_t code_point, std::string& text);
std::string to_utf8(char32_t code_point);

// The offset of the first byte that is no valid UTF-8, absent where all is.
std::optional<size_t> find_invalid_utf8(std::string_view text);

// `bytes` with every maximal ill-formed part replaced by one U+FFFD.
std::string replace_invalid_utf8(std::string_view bytes);

// True where `text` ends with U+FFFD.
bool ends_with_replacement(std::string_view text);

bool is_white_space(char32_t code_point);  // property White_Space
bool is_numeric(char32_t code_point);      // categories Nd, Nl, No
bool is_letter(char32_t code_point);       // categories L*
bool is_punctuation(char32_t code_point);  // ASCII punctuation and symbols, categories P*
// What \w means in UTS 18: alphabetic, marks, decimal digits, connectors, join controls.
bool is_word(char32_t code_point);

// Full lower-case mapping of one character, without context.
std::u32string to_lower(char32_t code_point);

}  // namespace rung::text
