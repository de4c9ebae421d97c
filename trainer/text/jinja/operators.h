// The operators of the template language on values, as Python defines them.
#pragma once

#include <optional>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

// Arithmetic; not kAnd and kOr, which the evaluator short-circuits.
Value apply_binary(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right);
Value apply_unary(UnaryOperator op, const Value& operand);
bool apply_compare(Runtime& runtime, CompareOperator op, const Value& left, const Value& right);

// `item in container`
bool contains(Runtime& runtime, const Value& container, const Value& item);

struct Slice {
  std::optional<int64_t> start;
  std::optional<int64_t> stop;
  std::optional<int64_t> step;
};
// object[start:stop:step]; fails for what cannot be sliced.
Value slice(Runtime& runtime, const Value& object, const Slice& slice);

// The values a loop over `value` sees: items, keys of a dict, characters of a string. Uses up an
// iterator. Fails for what is not iterable; undefined counts as empty.
Values iterate(Runtime& runtime, const Value& value);

// len(); fails for what has none.
int64_t length(const Value& value);

// The text with & < > ' " as HTML entities, marked safe; a safe text as it is.
Value escape_html(Runtime& runtime, const Value& value);

// A text like `model`: safe if that one is.
Value text_like(Runtime& runtime, const Value& model, std::string bytes);

}  // namespace rung::text::jinja
