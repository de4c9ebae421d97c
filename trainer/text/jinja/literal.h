// Number and string literals, as Python writes them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace rung::text::jinja {

struct NumberLiteral {
  Value value;
  size_t length = 0;  // bytes of the literal; 0 where it does not fit an int64
};

// The number at the start of `text`, which begins with a digit: decimal, 0x, 0o, 0b, float; `_`
// between digits. After a dot only an integer is read.
NumberLiteral read_number(std::string_view text, bool after_dot);

// The body of a string literal with Python's escapes (\n, \x41, \u00e9, \101, ...) replaced; an
// unknown escape stays as it is. Fails on a broken one and on surrogates.
std::string decode_escapes(std::string_view body);

}  // namespace rung::text::jinja
