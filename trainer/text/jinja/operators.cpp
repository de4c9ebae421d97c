#include "text/jinja/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/failure.h"
#include "text/jinja/format_text.h"
#include "text/jinja/unicode.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

std::string_view symbol(BinaryOperator op) {
  switch (op) {
    case BinaryOperator::kAdd:
      return "+";
    case BinaryOperator::kSubtract:
      return "-";
    case BinaryOperator::kMultiply:
      return "*";
    case BinaryOperator::kDivide:
      return "/";
    case BinaryOperator::kFloorDivide:
      return "//";
    case BinaryOperator::kModulo:
      return "%";
    case BinaryOperator::kPower:
      return "**";
    case BinaryOperator::kAnd:
      return "and";
    case BinaryOperator::kOr:
      return "or";
  }
  return "?";
}

[[noreturn]] void fail_overflow() { throw Failure("integer overflow"); }

[[noreturn]] void fail_types(BinaryOperator op, const Value& left, const Value& right) {
  throw Failure(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", symbol(op),
                            left.type_name(), right.type_name()));
}

// Python rounds quotients down, so that remainders have the divisor's sign.
int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) throw Failure("integer division or modulo by zero");
  if (b == -1) {
    int64_t negated = 0;
    if (__builtin_sub_overflow(int64_t{0}, a, &negated)) fail_overflow();
    return negated;
  }
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

int64_t floor_modulo(int64_t a, int64_t b) {
  if (b == 0) throw Failure("integer modulo by zero");
  if (b == -1) return 0;
  const int64_t remainder = a % b;
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

double floor_modulo(double a, double b) {
  if (b == 0.0) throw Failure("float modulo");
  const double remainder = std::fmod(a, b);
  if (remainder != 0.0) return (remainder < 0) != (b < 0) ? remainder + b : remainder;
  return std::copysign(0.0, b);
}

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) throw Failure("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
  return Value::integer(result);
}

Value integer_arithmetic(BinaryOperator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOperator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) fail_overflow();
      return Value::integer(result);
    case BinaryOperator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) fail_overflow();
      return Value::integer(result);
    case BinaryOperator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) fail_overflow();
      return Value::integer(result);
    case BinaryOperator::kDivide:
      if (b == 0) throw Failure("division by zero");
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case BinaryOperator::kFloorDivide:
      return Value::integer(floor_divide(a, b));
    case BinaryOperator::kModulo:
      return Value::integer(floor_modulo(a, b));
    default:
      return integer_power(a, b);
  }
}

Value float_arithmetic(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::kAdd:
      return Value::real(a + b);
    case BinaryOperator::kSubtract:
      return Value::real(a - b);
    case BinaryOperator::kMultiply:
      return Value::real(a * b);
    case BinaryOperator::kDivide:
      if (b == 0.0) throw Failure("float division by zero");
      return Value::real(a / b);
    case BinaryOperator::kFloorDivide:
      if (b == 0.0) throw Failure("float floor division by zero");
      return Value::real(std::floor((a - floor_modulo(a, b)) / b + 0.5));
    case BinaryOperator::kModulo:
      return Value::real(floor_modulo(a, b));
    default:
      if (a == 0.0 && b < 0.0) throw Failure("0.0 cannot be raised to a negative power");
      if (a < 0.0 && b != std::floor(b)) throw Failure("complex numbers are not supported");
      return Value::real(std::pow(a, b));
  }
}

// "ab" * 3, [1] * 3
Value repeat(Runtime& runtime, const Value& value, int64_t count) {
  const size_t times = count > 0 ? static_cast<size_t>(count) : 0;
  if (value.is_text()) {
    const std::string& bytes = value.bytes();
    if (times > 0 && bytes.size() > runtime.limits().max_text / times)
      runtime.charge_text(runtime.limits().max_text + 1);
    std::string out;
    for (size_t i = 0; i < times && !bytes.empty(); ++i) out += bytes;
    return text_like(runtime, value, std::move(out));
  }
  const Values& items = value.as_sequence().items;
  if (times > 0 && items.size() > runtime.limits().max_steps / times)
    runtime.charge(runtime.limits().max_steps + 1);
  runtime.charge(items.size() * times);
  Values out;
  for (size_t i = 0; i < times && !items.empty(); ++i)
    out.insert(out.end(), items.begin(), items.end());
  return Value::sequence(value.as_sequence().kind, std::move(out));
}

bool repeatable(const Value& value) {
  return value.is_text() || value.is_list() || value.is_tuple();
}

Value concatenate(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_text()) {
    if (!left.is_safe() && !right.is_safe()) {
      std::string bytes = left.bytes() + right.bytes();
      return text_like(runtime, left, std::move(bytes));
    }
    const Value a = escape_html(runtime, left);
    const Value b = escape_html(runtime, right);
    return text_like(runtime, a, a.bytes() + b.bytes());
  }
  Values items = left.as_sequence().items;
  const Values& more = right.as_sequence().items;
  runtime.charge(items.size() + more.size());
  items.insert(items.end(), more.begin(), more.end());
  return Value::sequence(left.is_list() ? SequenceKind::kList : SequenceKind::kTuple,
                         std::move(items));
}

bool is_less(Runtime& runtime, const Value& left, const Value& right) {
  runtime.charge(std::min(left.weight(), right.weight()));
  return less(left, right);
}

bool is_equal(Runtime& runtime, const Value& left, const Value& right) {
  runtime.charge(std::min(left.weight(), right.weight()));
  return equal(left, right);
}

// Resolved bounds of a slice: `count` indices from `first` in steps of `step`.
struct Range {
  int64_t first = 0;
  int64_t step = 1;
  int64_t count = 0;
};

Range resolve(const Slice& slice, int64_t size) {
  const int64_t step = slice.step.value_or(1);
  if (step == 0) throw Failure("slice step cannot be zero");
  const int64_t lowest = step > 0 ? 0 : -1;
  const int64_t highest = step > 0 ? size : size - 1;
  const auto clamp = [&](int64_t index) {
    if (index < 0) index += size;  // cannot overflow: size is a length
    return std::clamp(index, lowest, highest);
  };
  const int64_t start = slice.start ? clamp(*slice.start) : (step > 0 ? lowest : highest);
  const int64_t stop = slice.stop ? clamp(*slice.stop) : (step > 0 ? highest : lowest);
  const int64_t span = step > 0 ? stop - start : start - stop;
  if (span <= 0) return {start, step, 0};
  // Written so that a step near INT64_MIN is not negated.
  const int64_t count = step > 0 ? (span - 1) / step + 1 : 1 - (span - 1) / step;
  return {start, step, count};
}

std::string slice_text(const std::string& text, const Slice& slice) {
  const std::vector<std::string_view> parts = split_code_points(text);
  const Range range = resolve(slice, static_cast<int64_t>(parts.size()));
  std::string out;
  int64_t index = range.first;
  for (int64_t i = 0; i < range.count; ++i) {
    out += parts[static_cast<size_t>(index)];
    if (i + 1 < range.count) index += range.step;
  }
  return out;
}

}  // namespace

Value text_like(Runtime& runtime, const Value& model, std::string bytes) {
  runtime.charge_text(bytes.size());
  return Value::text(std::move(bytes), model.is_safe() ? Safety::kSafe : Safety::kPlain);
}

Value escape_html(Runtime& runtime, const Value& value) {
  if (value.is_safe()) return value;
  std::string out;
  for (const char c : to_text(runtime, value)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  runtime.charge_text(out.size());
  return Value::text(std::move(out), Safety::kSafe);
}

Value apply_binary(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
  left.require_defined();
  if (op == BinaryOperator::kModulo && left.is_text()) return percent_format(runtime, left, right);
  right.require_defined();
  if (left.is_integral() && right.is_integral())
    return integer_arithmetic(op, left.as_integral(), right.as_integral());
  if (left.is_number() && right.is_number())
    return float_arithmetic(op, left.as_double(), right.as_double());
  if (op == BinaryOperator::kAdd) {
    if ((left.is_text() && right.is_text()) || (left.is_list() && right.is_list()) ||
        (left.is_tuple() && right.is_tuple())) {
      return concatenate(runtime, left, right);
    }
    if (left.is_text())
      throw Failure(fmt::format("can only concatenate str (not \"{}\") to str", right.type_name()));
  }
  if (op == BinaryOperator::kMultiply) {
    if (repeatable(left) && right.is_integral()) return repeat(runtime, left, right.as_integral());
    if (repeatable(right) && left.is_integral()) return repeat(runtime, right, left.as_integral());
  }
  fail_types(op, left, right);
}

Value apply_unary(UnaryOperator op, const Value& operand) {
  if (op == UnaryOperator::kNot) return Value::boolean(!operand.truthy());
  operand.require_defined();
  const int64_t sign = op == UnaryOperator::kNegative ? -1 : 1;
  if (operand.is_integral())
    return integer_arithmetic(BinaryOperator::kMultiply, operand.as_integral(), sign);
  if (operand.is_float()) return Value::real(sign * operand.as_double());
  throw Failure(fmt::format("bad operand type for unary {}: '{}'", sign < 0 ? '-' : '+',
                            operand.type_name()));
}

bool apply_compare(Runtime& runtime, CompareOperator op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOperator::kEqual:
      return is_equal(runtime, left, right);
    case CompareOperator::kNotEqual:
      return !is_equal(runtime, left, right);
    case CompareOperator::kLess:
      return is_less(runtime, left, right);
    case CompareOperator::kGreater:
      return is_less(runtime, right, left);
    // Not the negation of the opposite: nan is neither below nor above anything.
    case CompareOperator::kLessEqual:
      return is_less(runtime, left, right) || is_equal(runtime, left, right);
    case CompareOperator::kGreaterEqual:
      return is_less(runtime, right, left) || is_equal(runtime, left, right);
    case CompareOperator::kIn:
      return contains(runtime, right, left);
    case CompareOperator::kNotIn:
      return !contains(runtime, right, left);
  }
  return false;
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_text()) {
    item.require_defined();
    if (!item.is_text()) {
      throw Failure(
          fmt::format("'in <string>' requires string as left operand, not {}", item.type_name()));
    }
    runtime.charge_text(container.bytes().size());
    return container.bytes().find(item.bytes()) != std::string::npos;
  }
  if (container.is_dict()) {
    require_hashable(item);
    runtime.charge(container.as_dict().entries.size() / 8);
    return container.as_dict().find(item) != nullptr;
  }
  runtime.charge(container.weight());
  const Values items = iterate(runtime, container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& candidate) { return is_equal(runtime, candidate, item); });
}

Value slice(Runtime& runtime, const Value& object, const Slice& slice) {
  object.require_defined();
  if (object.is_text()) {
    runtime.charge_text(object.bytes().size());
    return text_like(runtime, object, slice_text(object.bytes(), slice));
  }
  const bool sliceable =
      object.is_list() || object.is_tuple() ||
      (object.is_sequence() && object.as_sequence().kind == SequenceKind::kRange);
  if (!sliceable) throw Failure(fmt::format("a {} cannot be sliced", object.type_name()));
  const Values& items = object.as_sequence().items;
  const Range range = resolve(slice, static_cast<int64_t>(items.size()));
  runtime.charge(static_cast<size_t>(range.count));
  Values out;
  int64_t index = range.first;
  for (int64_t i = 0; i < range.count; ++i) {
    out.push_back(items[static_cast<size_t>(index)]);
    if (i + 1 < range.count) index += range.step;
  }
  const SequenceKind kind = object.as_sequence().kind;
  return Value::sequence(kind == SequenceKind::kGroup ? SequenceKind::kTuple : kind,
                         std::move(out));
}

Values iterate(Runtime& runtime, const Value& value) {
  if (value.is_undefined()) return {};
  Values items;
  if (value.is_sequence()) {
    Sequence& sequence = value.as_sequence();
    if (sequence.kind == SequenceKind::kIterator && std::exchange(sequence.exhausted, true))
      return {};
    runtime.charge(sequence.items.size());
    return sequence.items;
  }
  if (value.is_dict()) {
    runtime.charge(value.as_dict().entries.size());
    for (const auto& entry : value.as_dict().entries) items.push_back(entry.first);
    return items;
  }
  if (value.is_text()) {
    runtime.charge(value.bytes().size());
    for (const std::string_view part : split_code_points(value.bytes()))
      items.push_back(Value::text(std::string(part)));
    return items;
  }
  throw Failure(fmt::format("'{}' object is not iterable", value.type_name()));
}

int64_t length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_text()) return static_cast<int64_t>(count_code_points(value.bytes()));
  if (value.is_dict()) return static_cast<int64_t>(value.as_dict().entries.size());
  if (value.is_loop()) return static_cast<int64_t>(value.as_loop()->items.size());
  if (value.is_sequence() && value.as_sequence().kind != SequenceKind::kIterator)
    return static_cast<int64_t>(value.as_sequence().items.size());
  throw Failure(fmt::format("object of type '{}' has no len()", value.type_name()));
}

}  // namespace rung::text::jinja
