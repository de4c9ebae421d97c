// The table of filters, and those on numbers and on any value.
//
// Of jinja2's own, filesizeformat, pprint, random, striptags, urlencode, urlize, wordwrap and
// xmlattr are left out: no chat template is known to use them.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "text/jinja/builtins.h"
#include "text/jinja/failure.h"
#include "text/jinja/filters_sequence.h"
#include "text/jinja/filters_text.h"
#include "text/jinja/lookup.h"
#include "text/jinja/operators.h"
#include "text/jinja/parameters.h"
#include "text/jinja/unicode.h"

namespace rung::text::jinja {
namespace {

Value filter_default(Runtime&, const Value& input, const Arguments& arguments) {
  const Parameters parameters("default", arguments, {"default_value", "boolean"});
  const bool replace = input.is_undefined() || (parameters.flag(1, false) && !input.truthy());
  return replace ? parameters.value_or(0, Value::text("")) : input;
}

Value filter_attr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("attr", arguments, {"name"});
  parameters.required(0);
  const std::string name = parameters.text(0, "");
  input.require_defined();
  // Unlike input.name this never falls back to an item.
  if (input.is_dict() && find_container_method(input, name) == nullptr)
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name));
  return get_attribute(runtime, input, name);
}

Value filter_abs(Runtime&, const Value& input, const Arguments& arguments) {
  const Parameters none("abs", arguments, {});
  input.require_defined();
  if (input.is_float()) return Value::real(std::fabs(input.as_double()));
  if (!input.is_integral())
    throw Failure(fmt::format("bad operand type for abs(): '{}'", input.type_name()));
  return input.as_integral() < 0 ? apply_unary(UnaryOperator::kNegative, input)
                                 : Value::integer(input.as_integral());
}

// Digits with single underscores between them, white space around and a sign, as int() reads.
std::string number_text(const Value& value) {
  std::string text(strip(value.bytes(), "", Side::kBoth));
  const bool bad_underscore =
      text.starts_with('_') || text.ends_with('_') || text.find("__") != std::string::npos;
  if (bad_underscore) return "";
  std::erase(text, '_');
  if (text.starts_with('+') && !text.starts_with("+-")) text.erase(0, 1);
  return text;
}

std::optional<int64_t> parse_integer(const Value& value, int base) {
  std::string text = number_text(value);
  const bool negative = text.starts_with('-');
  const std::string prefix = text.substr(negative ? 1 : 0, 2);
  const bool prefixed = (base == 16 && (prefix == "0x" || prefix == "0X")) ||
                        (base == 8 && (prefix == "0o" || prefix == "0O")) ||
                        (base == 2 && (prefix == "0b" || prefix == "0B"));
  if (prefixed) text.erase(negative ? 1 : 0, 2);
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number, base);
  if (result.ec == std::errc::result_out_of_range) throw Failure("integer overflow");
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return number;
}

std::optional<double> parse_float(const Value& value) {
  const std::string text = number_text(value);
  double number = 0.0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  if (result.ec == std::errc::result_out_of_range) return std::nullopt;
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return number;
}

std::optional<int64_t> truncated(double number) {
  if (!std::isfinite(number)) return std::nullopt;
  if (std::fabs(number) >= 9.2e18) throw Failure("integer overflow");
  return static_cast<int64_t>(number);
}

Value filter_int(Runtime&, const Value& input, const Arguments& arguments) {
  const Parameters parameters("int", arguments, {"default", "base"});
  const int64_t base = parameters.integer(1, 10);
  if (base < 2 || base > 36) throw Failure("int() base must be >= 2 and <= 36");
  input.require_defined();
  std::optional<int64_t> number;
  if (input.is_integral()) {
    number = input.as_integral();
  } else if (input.is_float()) {
    number = truncated(input.as_double());
  } else if (input.is_text()) {
    number = parse_integer(input, static_cast<int>(base));
    if (!number) {
      if (const auto real = parse_float(input)) number = truncated(*real);
    }
  }
  return number ? Value::integer(*number) : parameters.value_or(0, Value::integer(0));
}

Value filter_float(Runtime&, const Value& input, const Arguments& arguments) {
  const Parameters parameters("float", arguments, {"default"});
  input.require_defined();
  if (input.is_number()) return Value::real(input.as_double());
  if (input.is_text()) {
    if (const auto number = parse_float(input)) return Value::real(*number);
  }
  return parameters.value_or(0, Value::real(0.0));
}

// round(): the decimal nearest to the exact binary value, halves to even.
double round_to(double number, int64_t precision) {
  if (!std::isfinite(number)) return number;
  if (precision < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(number / scale) * scale;
  }
  const std::string text = fmt::format("{:.{}f}", number, static_cast<int>(precision));
  double rounded = number;
  std::from_chars(text.data(), text.data() + text.size(), rounded);
  return rounded;
}

Value filter_round(Runtime&, const Value& input, const Arguments& arguments) {
  const Parameters parameters("round", arguments, {"precision", "method"});
  const std::string method = parameters.text(1, "common");
  const int64_t precision = parameters.integer(0, 0);
  input.require_defined();
  if (!input.is_number())
    throw Failure(fmt::format("type {} doesn't define __round__ method", input.type_name()));
  if (precision < -300 || precision > 300) throw Failure("round() precision is out of range");
  if (method == "common") {
    if (input.is_integral() && precision >= 0) return Value::integer(input.as_integral());
    const double rounded = round_to(input.as_double(), precision);
    return input.is_integral() ? Value::integer(static_cast<int64_t>(rounded))
                               : Value::real(rounded);
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.as_double() * scale;
  if (method == "ceil") return Value::real(std::ceil(scaled) / scale);
  if (method == "floor") return Value::real(std::floor(scaled) / scale);
  throw Failure("method must be common, ceil or floor");
}

constexpr auto kFilters = std::to_array<NamedFilter>({
    {"abs", filter_abs},
    {"attr", filter_attr},
    {"batch", filter_batch},
    {"capitalize", filter_capitalize},
    {"center", filter_center},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"first", filter_first},
    {"float", filter_float},
    {"forceescape", filter_forceescape},
    {"format", filter_format},
    {"groupby", filter_groupby},
    {"indent", filter_indent},
    {"int", filter_int},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"lower", filter_lower},
    {"map", filter_map},
    {"max", filter_max},
    {"min", filter_min},
    {"reject", filter_reject},
    {"rejectattr", filter_rejectattr},
    {"replace", filter_replace},
    {"reverse", filter_reverse},
    {"round", filter_round},
    {"safe", filter_safe},
    {"select", filter_select},
    {"selectattr", filter_selectattr},
    {"slice", filter_slice},
    {"sort", filter_sort},
    {"string", filter_string},
    {"sum", filter_sum},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"unique", filter_unique},
    {"upper", filter_upper},
    {"wordcount", filter_wordcount},
});

const NamedFilter* lookup(std::string_view name) {
  const auto* found = std::find_if(kFilters.begin(), kFilters.end(),
                                   [&](const NamedFilter& filter) { return filter.name == name; });
  return found == kFilters.end() ? nullptr : found;
}

}  // namespace

bool has_filter(std::string_view name) { return lookup(name) != nullptr; }

FilterFunction find_filter(std::string_view name) {
  if (const NamedFilter* filter = lookup(name)) return filter->call;
  throw Failure(fmt::format("No filter named '{}'.", name));
}

}  // namespace rung::text::jinja
