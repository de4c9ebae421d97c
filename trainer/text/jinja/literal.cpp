#include "text/jinja/literal.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "text/jinja/failure.h"
#include "text/jinja/unicode.h"

namespace rung::text::jinja {
namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

// End of a run of digits of `base` from `begin`, single underscores between them; `begin` if none.
size_t digits_end(std::string_view text, size_t begin, int base) {
  size_t end = begin;
  while (end < text.size()) {
    size_t digit = end;
    if (end > begin && text[digit] == '_') ++digit;
    if (digit >= text.size() || digit_value(text[digit]) >= base) break;
    end = digit + 1;
  }
  return end;
}

// End of ".5", "e-3" or ".5e-3" from `begin`; `begin` where there is none.
size_t fraction_end(std::string_view text, size_t begin) {
  size_t end = begin;
  if (end < text.size() && text[end] == '.') {
    const size_t digits = digits_end(text, end + 1, 10);
    if (digits > end + 1) end = digits;
  }
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    size_t digits = end + 1;
    if (digits < text.size() && (text[digits] == '+' || text[digits] == '-')) ++digits;
    const size_t exponent = digits_end(text, digits, 10);
    if (exponent > digits) end = exponent;
  }
  return end;
}

std::string without_underscores(std::string_view text) {
  std::string digits(text);
  std::erase(digits, '_');
  return digits;
}

// A float literal that no double holds: infinite, or zero where its exponent is negative.
double out_of_range(const std::string& digits) {
  return digits.find("e-") != std::string::npos || digits.find("E-") != std::string::npos
             ? 0.0
             : std::numeric_limits<double>::infinity();
}

int base_of(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return 10;
  switch (text[1] | 0x20) {
    case 'x':
      return 16;
    case 'o':
      return 8;
    case 'b':
      return 2;
    default:
      return 10;
  }
}

NumberLiteral integer_literal(std::string_view text, size_t begin, size_t end, int base) {
  int64_t number = 0;
  for (const char c : without_underscores(text.substr(begin, end - begin))) {
    if (__builtin_mul_overflow(number, static_cast<int64_t>(base), &number) ||
        __builtin_add_overflow(number, static_cast<int64_t>(digit_value(c)), &number)) {
      return {};
    }
  }
  return {Value::integer(number), end};
}

// Reads `count` hex digits at `position`.
char32_t hex_escape(std::string_view body, size_t position, size_t count, char kind) {
  char32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const int digit = position + i < body.size() ? digit_value(body[position + i]) : 99;
    if (digit > 15) throw Failure(fmt::format("truncated \\{} escape in a string", kind));
    value = value * 16 + static_cast<char32_t>(digit);
  }
  if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
    throw Failure(fmt::format("\\{} escape is not a character", kind));
  return value;
}

constexpr std::string_view kSimpleEscapes = "\\'\"abfnrtv";
constexpr std::string_view kSimpleValues = "\\'\"\a\b\f\n\r\t\v";

// Handles the escape whose letter stands at `position`; returns the position after it.
size_t append_escape(std::string& out, std::string_view body, size_t position) {
  const char kind = body[position];
  if (const size_t simple = kSimpleEscapes.find(kind); simple != std::string_view::npos) {
    out += kSimpleValues[simple];
    return position + 1;
  }
  if (kind == '\n') return position + 1;  // a backslash at the end of a line joins the two
  if (kind == 'x' || kind == 'u' || kind == 'U') {
    const size_t count = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
    append_utf8(out, hex_escape(body, position + 1, count, kind));
    return position + 1 + count;
  }
  if (kind >= '0' && kind <= '7') {
    char32_t value = 0;
    size_t end = position;
    for (; end < std::min(position + 3, body.size()) && body[end] >= '0' && body[end] <= '7'; ++end)
      value = value * 8 + static_cast<char32_t>(body[end] - '0');
    append_utf8(out, value);
    return end;
  }
  if (kind == 'N') throw Failure("\\N{name} escapes are not supported");
  out += '\\';
  out += kind;
  return position + 1;
}

}  // namespace

NumberLiteral read_number(std::string_view text, bool after_dot) {
  const int base = base_of(text);
  if (base != 10) {
    // The digits may follow an underscore: 0x_ff.
    const size_t begin = text[2] == '_' ? 3 : 2;
    const size_t end = digits_end(text, begin, base);
    if (end > begin) return integer_literal(text, begin, end, base);
  }
  const size_t whole = digits_end(text, 0, 10);
  const size_t end = after_dot ? whole : fraction_end(text, whole);
  if (end > whole) {
    const std::string digits = without_underscores(text.substr(0, end));
    double number = 0.0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (result.ec == std::errc::result_out_of_range) number = out_of_range(digits);
    return {Value::real(number), end};
  }
  // Python has no octal by leading zeros: "007" is 0, 0 and 7.
  if (text[0] == '0') {
    const size_t zeros = text.find_first_not_of("0_");
    const size_t stop = std::min(zeros, whole);
    return {Value::integer(0), text[stop - 1] == '_' ? stop - 1 : stop};
  }
  return integer_literal(text, 0, whole, 10);
}

std::string decode_escapes(std::string_view body) {
  std::string out;
  out.reserve(body.size());
  for (size_t i = 0; i < body.size();) {
    if (body[i] != '\\' || i + 1 >= body.size()) {
      out += body[i++];
    } else {
      i = append_escape(out, body, i + 1);
    }
  }
  return out;
}

}  // namespace rung::text::jinja
