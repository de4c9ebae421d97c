// Python's view of UTF-8 text: code points, white space, letter case.
//
// Character properties come from utf8proc; case mapping knows the common one-to-many cases
// (German sharp s, Latin ligatures, dotted capital I, final sigma). Input must be valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rung::text::jinja {

bool is_valid_utf8(std::string_view text);

// The code point that starts at text[position]; advances position past it.
char32_t next_code_point(std::string_view text, size_t& position);
void append_utf8(std::string& text, char32_t code_point);
std::u32string to_code_points(std::string_view text);
std::string to_utf8(std::u32string_view code_points);
size_t count_code_points(std::string_view text);
// One string per code point.
std::vector<std::string_view> split_code_points(std::string_view text);

bool is_space(char32_t c);  // str.isspace
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_printable(char32_t c);   // shown unescaped by repr()
bool is_identifier(char32_t c);  // may stand in a name

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title_case(std::string_view text);  // str.title
std::string swap_case(std::string_view text);

enum class Side { kLeft, kRight, kBoth };
// str.strip and friends; an empty `characters` means white space.
std::string_view strip(std::string_view text, std::string_view characters, Side side);

// Splits at \n, \r\n, \r and the other breaks str.splitlines knows.
enum class LineEnds { kDrop, kKeep };
std::vector<std::string_view> split_lines(std::string_view text, LineEnds ends);

}  // namespace rung::text::jinja
