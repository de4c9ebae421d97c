// The tests behind `is`.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/jinja/builtins.h"
#include "text/jinja/failure.h"
#include "text/jinja/operators.h"
#include "text/jinja/parameters.h"
#include "text/jinja/unicode.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

void no_arguments(std::string_view test, const Arguments& arguments) {
  const Parameters none(test, arguments, {});
}

bool test_defined(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("defined", arguments);
  return !value.is_undefined();
}

bool test_undefined(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("undefined", arguments);
  return value.is_undefined();
}

bool test_none(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("none", arguments);
  return value.is_none();
}

bool test_boolean(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("boolean", arguments);
  return value.is_bool();
}

bool test_true(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("true", arguments);
  return value.is_bool() && value.as_bool();
}

bool test_false(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("false", arguments);
  return value.is_bool() && !value.as_bool();
}

bool test_integer(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("integer", arguments);
  return value.is_int();
}

bool test_float(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("float", arguments);
  return value.is_float();
}

bool test_number(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("number", arguments);
  return value.is_number();
}

bool test_string(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("string", arguments);
  return value.is_text();
}

bool test_mapping(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("mapping", arguments);
  return value.is_dict();
}

bool test_iterable(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("iterable", arguments);
  return value.is_sequence() || value.is_dict() || value.is_text() || value.is_undefined() ||
         value.is_loop();
}

// Whatever has a length and items; jinja2 counts dicts and undefined values too.
bool test_sequence(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("sequence", arguments);
  if (value.is_text() || value.is_dict() || value.is_undefined()) return true;
  return value.is_list() || value.is_tuple() ||
         (value.is_sequence() && value.as_sequence().kind == SequenceKind::kRange);
}

bool test_callable(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("callable", arguments);
  return value.is_function() || value.is_undefined() || value.is_loop();
}

bool test_escaped(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("escaped", arguments);
  return value.is_safe();
}

bool same_object(const Value& left, const Value& right) {
  if (left.storage().index() != right.storage().index()) return false;
  if (left.is_sequence()) return &left.as_sequence() == &right.as_sequence();
  if (left.is_dict()) return &left.as_dict() == &right.as_dict();
  // Python keeps one object for each small number and short constant; telling others apart would
  // make templates depend on that.
  return equal(left, right);
}

bool test_same_as(Runtime&, const Value& value, const Arguments& arguments) {
  return same_object(value, Parameters("sameas", arguments, {"other"}).required(0));
}

int64_t integer_of(const Value& value) {
  value.require_defined();
  if (!value.is_integral())
    throw Failure(fmt::format("a whole number was expected, got {}", value.type_name()));
  return value.as_integral();
}

bool test_odd(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("odd", arguments);
  return integer_of(value) % 2 != 0;
}

bool test_even(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("even", arguments);
  return integer_of(value) % 2 == 0;
}

bool test_divisible_by(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters parameters("divisibleby", arguments, {"num"});
  const Value rest = apply_binary(runtime, BinaryOperator::kModulo, value, parameters.required(0));
  return equal(rest, Value::integer(0));
}

template <CompareOperator op>
bool test_compare(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return apply_compare(runtime, op, value,
                       Parameters("comparison", arguments, {"other"}).required(0));
}

// str.islower and str.isupper: some letter of that case, none of the other.
bool test_lower(Runtime& runtime, const Value& value, const Arguments& arguments) {
  no_arguments("lower", arguments);
  const std::u32string text = to_code_points(to_text(runtime, value));
  return std::any_of(text.begin(), text.end(), is_lower) &&
         std::none_of(text.begin(), text.end(), is_upper);
}

bool test_upper(Runtime& runtime, const Value& value, const Arguments& arguments) {
  no_arguments("upper", arguments);
  const std::u32string text = to_code_points(to_text(runtime, value));
  return std::any_of(text.begin(), text.end(), is_upper) &&
         std::none_of(text.begin(), text.end(), is_lower);
}

bool test_filter(Runtime&, const Value& value, const Arguments&);
bool test_test(Runtime&, const Value& value, const Arguments&);

constexpr auto kTests = std::to_array<NamedTest>({
    {"defined", test_defined},
    {"undefined", test_undefined},
    {"none", test_none},
    {"boolean", test_boolean},
    {"true", test_true},
    {"false", test_false},
    {"integer", test_integer},
    {"float", test_float},
    {"number", test_number},
    {"string", test_string},
    {"mapping", test_mapping},
    {"iterable", test_iterable},
    {"sequence", test_sequence},
    {"callable", test_callable},
    {"escaped", test_escaped},
    {"sameas", test_same_as},
    {"odd", test_odd},
    {"even", test_even},
    {"divisibleby", test_divisible_by},
    {"lower", test_lower},
    {"upper", test_upper},
    {"filter", test_filter},
    {"test", test_test},
    {"eq", test_compare<CompareOperator::kEqual>},
    {"equalto", test_compare<CompareOperator::kEqual>},
    {"==", test_compare<CompareOperator::kEqual>},
    {"ne", test_compare<CompareOperator::kNotEqual>},
    {"!=", test_compare<CompareOperator::kNotEqual>},
    {"lt", test_compare<CompareOperator::kLess>},
    {"lessthan", test_compare<CompareOperator::kLess>},
    {"<", test_compare<CompareOperator::kLess>},
    {"le", test_compare<CompareOperator::kLessEqual>},
    {"<=", test_compare<CompareOperator::kLessEqual>},
    {"gt", test_compare<CompareOperator::kGreater>},
    {"greaterthan", test_compare<CompareOperator::kGreater>},
    {">", test_compare<CompareOperator::kGreater>},
    {"ge", test_compare<CompareOperator::kGreaterEqual>},
    {">=", test_compare<CompareOperator::kGreaterEqual>},
    {"in", test_compare<CompareOperator::kIn>},
});

const NamedTest* lookup(std::string_view name) {
  const auto* found = std::find_if(kTests.begin(), kTests.end(),
                                   [&](const NamedTest& test) { return test.name == name; });
  return found == kTests.end() ? nullptr : found;
}

// `'upper' is filter`: whether there is a filter of that name.
bool test_filter(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("filter", arguments);
  return value.is_text() && has_filter(value.bytes());
}

bool test_test(Runtime&, const Value& value, const Arguments& arguments) {
  no_arguments("test", arguments);
  return value.is_text() && lookup(value.bytes()) != nullptr;
}

}  // namespace

TestFunction find_test(std::string_view name) {
  if (const NamedTest* test = lookup(name)) return test->call;
  throw Failure(fmt::format("No test named '{}'.", name));
}

}  // namespace rung::text::jinja
