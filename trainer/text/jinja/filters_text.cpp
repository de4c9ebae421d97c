#include "text/jinja/filters_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/failure.h"
#include "text/jinja/format_text.h"
#include "text/jinja/operators.h"
#include "text/jinja/parameters.h"
#include "text/jinja/string_split.h"
#include "text/jinja/unicode.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

// Text stays as it is (and as safe as it is), anything else is written out.
Value soft_text(Runtime& runtime, const Value& value) {
  return value.is_text() ? value : Value::text(to_text(runtime, value));
}

// Calls the string method of that name on the input as text.
Value call_method(Runtime& runtime, std::string_view name, const Value& input,
                  const Arguments& arguments) {
  return find_string_method(name)(runtime, soft_text(runtime, input), arguments);
}

// Where a word begins for the title filter: after one of these.
bool begins_word(char32_t before) {
  return is_space(before) || before == '-' || before == '(' || before == '{' || before == '[' ||
         before == '<';
}

std::string spaces(Runtime& runtime, int64_t count) {
  const auto size = static_cast<size_t>(std::clamp<int64_t>(count, 0, INT64_C(1) << 40));
  runtime.charge_text(size);
  return std::string(size, ' ');
}

JsonStyle json_style(Runtime& runtime, const Parameters& parameters) {
  JsonStyle style;
  style.ensure_ascii = parameters.flag(0, false);
  style.sort_keys = parameters.flag(3, false);
  if (parameters.given(1) && !parameters.required(1).is_none()) {
    const Value& indent = parameters.required(1);
    style.indent = indent.is_text() ? indent.bytes() : spaces(runtime, parameters.integer(1, 0));
    style.item_separator = ",";
  }
  if (parameters.given(2) && !parameters.required(2).is_none()) {
    const Values parts = iterate(runtime, parameters.required(2));
    if (parts.size() != 2 || !parts[0].is_text() || !parts[1].is_text())
      throw Failure("tojson() argument 'separators' must be two texts");
    style.item_separator = parts[0].bytes();
    style.key_separator = parts[1].bytes();
  }
  return style;
}

}  // namespace

Value filter_upper(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return call_method(runtime, "upper", input, arguments);
}

Value filter_lower(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return call_method(runtime, "lower", input, arguments);
}

Value filter_capitalize(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return call_method(runtime, "capitalize", input, arguments);
}

Value filter_title(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("title", arguments, {});
  const std::u32string text = to_code_points(to_text(runtime, input));
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const bool separator = begins_word(text[begin]);
    size_t end = begin + 1;
    while (end < text.size() && begins_word(text[end]) == separator) ++end;
    const std::string first = to_utf8(std::u32string_view(text).substr(begin, 1));
    const std::string rest = to_utf8(std::u32string_view(text).substr(begin + 1, end - begin - 1));
    out += to_upper(first) + to_lower(rest);
    begin = end;
  }
  return text_like(runtime, Value(), std::move(out));
}

Value filter_trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return call_method(runtime, "strip", input, arguments);
}

Value filter_replace(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("replace", arguments, {"old", "new", "count"});
  const std::string from = to_text(runtime, parameters.required(0));
  const std::string to = to_text(runtime, parameters.required(1));
  const bool all = !parameters.given(2) || parameters.required(2).is_none();
  const int64_t count = all ? -1 : parameters.integer(2, -1);
  return Value::text(replace_all(runtime, to_text(runtime, input), {from, to, count}));
}

Value filter_indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("indent", arguments, {"width", "first", "blank"});
  input.require_defined();
  if (!input.is_text()) throw Failure("indent() needs text");
  const bool text_width = parameters.given(0) && parameters.required(0).is_text();
  const std::string indentation =
      text_width ? parameters.required(0).bytes() : spaces(runtime, parameters.integer(0, 4));
  const std::string source = input.bytes() + "\n";
  std::string out = parameters.flag(1, false) ? indentation : "";
  bool first = true;
  for (const std::string_view line : split_lines(source, LineEnds::kDrop)) {
    if (!first) {
      out += '\n';
      if (!line.empty() || parameters.flag(2, false)) out += indentation;
    }
    first = false;
    out += line;
    if (out.size() > runtime.limits().max_text) runtime.charge_text(out.size());
  }
  return text_like(runtime, input, std::move(out));
}

Value filter_center(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("center", arguments, {"width"});
  const Arguments width{{parameters.value_or(0, Value::integer(80))}, {}};
  return call_method(runtime, "center", input, width);
}

Value filter_truncate(Runtime& runtime, const Value& input, const Arguments& arguments) {
  constexpr int64_t kDefaultLength = 255;
  constexpr int64_t kDefaultLeeway = 5;
  const Parameters parameters("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const int64_t wanted = parameters.integer(0, kDefaultLength);
  const std::string end = parameters.text(2, "...");
  const bool default_leeway = !parameters.given(3) || parameters.required(3).is_none();
  const int64_t leeway = default_leeway ? kDefaultLeeway : parameters.integer(3, 0);
  const auto end_length = static_cast<int64_t>(count_code_points(end));
  if (wanted < end_length)
    throw Failure(fmt::format("expected length >= {}, got {}", end_length, wanted));
  if (leeway < 0) throw Failure(fmt::format("expected leeway >= 0, got {}", leeway));
  input.require_defined();
  if (!input.is_text()) throw Failure("truncate() needs text");
  const int64_t size = length(input);
  if (size <= leeway || size - leeway <= wanted) return input;
  std::string kept = slice(runtime, input, {0, wanted - end_length, {}}).bytes();
  if (!parameters.flag(1, false)) {
    const size_t space = kept.rfind(' ');
    if (space != std::string::npos) kept.resize(space);
  }
  return text_like(runtime, input, kept + end);
}

Value filter_wordcount(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("wordcount", arguments, {});
  int64_t words = 0;
  bool in_word = false;
  for (const char32_t c : to_code_points(to_text(runtime, input))) {
    const bool word = is_identifier(c);
    if (word && !in_word) ++words;
    in_word = word;
  }
  return Value::integer(words);
}

Value filter_string(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("string", arguments, {});
  return soft_text(runtime, input);
}

Value filter_safe(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("safe", arguments, {});
  return Value::text(to_text(runtime, input), Safety::kSafe);
}

Value filter_escape(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("escape", arguments, {});
  return escape_html(runtime, input);
}

Value filter_forceescape(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("forceescape", arguments, {});
  return escape_html(runtime, Value::text(to_text(runtime, input)));
}

Value filter_format(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    throw Failure("can't handle positional and keyword arguments at the same time");
  const Value text = soft_text(runtime, input);
  if (arguments.named.empty())
    return percent_format(runtime, text, Value::tuple(arguments.positional));
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, value] : arguments.named) entries.emplace_back(Value::text(name), value);
  return percent_format(runtime, text, Value::dict(std::move(entries)));
}

Value filter_tojson(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("tojson", arguments,
                              {"ensure_ascii", "indent", "separators", "sort_keys"});
  return Value::text(to_json(runtime, input, json_style(runtime, parameters)));
}

}  // namespace rung::text::jinja
