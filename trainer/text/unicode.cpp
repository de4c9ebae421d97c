#include "text/unicode.h"

#include <utf8proc.h>

namespace rung::text {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// What starts at a byte: a valid sequence, or an ill-formed part of maximal length.
struct Sequence {
  size_t length = 0;
  bool valid = false;
};

struct ByteRange {
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
};

// The bytes that may follow `lead`: overlong forms, surrogates and values above U+10FFFF are shut
// out by the second byte.
ByteRange second_byte_range(unsigned char lead) {
  switch (lead) {
    case 0xe0:
      return {0xa0, 0xbf};
    case 0xed:
      return {0x80, 0x9f};
    case 0xf0:
      return {0x90, 0xbf};
    case 0xf4:
      return {0x80, 0x8f};
    default:
      return {};
  }
}

Sequence sequence_at(std::string_view text, size_t begin) {
  const auto lead = static_cast<unsigned char>(text[begin]);
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const size_t expected = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  ByteRange range = second_byte_range(lead);
  for (size_t i = 1; i < expected; ++i) {
    if (begin + i >= text.size()) return {i, false};
    const auto byte = static_cast<unsigned char>(text[begin + i]);
    if (byte < range.low || byte > range.high) return {i, false};
    range = {};
  }
  return {expected, true};
}

utf8proc_category_t category_of(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

bool in_range(char32_t value, char32_t low, char32_t high) { return value >= low && value <= high; }

}  // namespace

CodePoint code_point_before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && is_continuation_byte(text[begin])) --begin;
  return code_point_at(text, begin);
}

void append_utf8(char32_t code_point, std::string& text) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t length =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

std::string to_utf8(char32_t code_point) {
  std::string text;
  append_utf8(code_point, text);
  return text;
}

std::optional<size_t> find_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Sequence sequence = sequence_at(text, i);
    if (!sequence.valid) return i;
    i += sequence.length;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const Sequence sequence = sequence_at(bytes, i);
    text.append(sequence.valid ? bytes.substr(i, sequence.length) : kReplacement);
    i += sequence.length;
  }
  return text;
}

bool ends_with_replacement(std::string_view text) { return text.ends_with(kReplacement); }

bool is_white_space(char32_t c) {
  return in_range(c, 0x09, 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         in_range(c, 0x2000, 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return in_range(c, '0', '9');
  const utf8proc_category_t category = category_of(c);
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

bool is_letter(char32_t c) {
  if (c < 0x80) return in_range(c | 0x20, 'a', 'z');
  const utf8proc_category_t category = category_of(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) {
    return in_range(c, '!', '/') || in_range(c, ':', '@') || in_range(c, '[', '`') ||
           in_range(c, '{', '~');
  }
  const utf8proc_category_t category = category_of(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool is_word(char32_t c) {
  if (c < 0x80) return is_letter(c) || in_range(c, '0', '9') || c == '_';
  const utf8proc_category_t category = category_of(c);
  const bool alphabetic_symbol =  // Other_Alphabetic outside the categories below
      in_range(c, 0x24b6, 0x24e9) || in_range(c, 0x1f130, 0x1f149) ||
      in_range(c, 0x1f150, 0x1f169) || in_range(c, 0x1f170, 0x1f189);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME) ||
         category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_PC || c == 0x200c || c == 0x200d || alphabetic_symbol;
}

std::u32string to_lower(char32_t c) {
  if (c == 0x130) return {U'i', 0x307};  // the one character that lowers to two
  return {static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)))};
}

}  // namespace rung::text
