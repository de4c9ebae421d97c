// Values as text: str(), repr() and json.dumps() of Python.
#pragma once

#include <optional>
#include <string>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

// str(): what {{ value }} prints. Undefined is empty.
std::string to_text(Runtime& runtime, const Value& value);
std::string to_repr(Runtime& runtime, const Value& value);
// The shortest digits that read back as `number`, with Python's choice of exponents: 1.0, 1e-05.
std::string float_repr(double number);
// repr() of a string: quoted, unprintable characters escaped.
std::string text_repr(std::string_view text);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // one level's indentation; absent: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

// json.dumps(). Fails for values that JSON cannot hold (undefined, functions, iterators).
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace rung::text::jinja
