// Methods of strings, as Python's str has them. A safe string's methods return safe strings.

#include <fmt/format.h>

#include <algorithm>
#include <array>

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

template <std::string (*convert)(std::string_view)>
Value converted(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("this method", arguments, {});
  return text_like(runtime, self, convert(self.bytes()));
}

template <Side side>
Value stripped(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("strip", arguments, {"chars"});
  if (parameters.given(0) && !parameters.required(0).is_none()) {
    const std::string characters = parameters.text(0, "");
    if (characters.empty()) return self;
    return text_like(runtime, self, std::string(strip(self.bytes(), characters, side)));
  }
  return text_like(runtime, self, std::string(strip(self.bytes(), "", side)));
}

// The part of `text` between code points `start` and `end`, as startswith(x, start, end) takes it.
std::string part(Runtime& runtime, const Value& self, const Parameters& parameters) {
  if (!parameters.given(1) && !parameters.given(2)) return self.bytes();
  Slice range;
  if (parameters.given(1) && !parameters.required(1).is_none())
    range.start = parameters.integer(1, 0);
  if (parameters.given(2) && !parameters.required(2).is_none())
    range.stop = parameters.integer(2, 0);
  return slice(runtime, self, range).bytes();
}

enum class End { kStart, kEnd };

template <End end>
Value has_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view name = end == End::kStart ? "startswith" : "endswith";
  const Parameters parameters(name, arguments, {"prefix", "start", "end"});
  const std::string text = part(runtime, self, parameters);
  const auto matches = [&](const Value& affix) {
    affix.require_defined();
    if (!affix.is_text()) {
      throw Failure(fmt::format("{} first arg must be str or a tuple of str, not {}", name,
                                affix.type_name()));
    }
    return end == End::kStart ? text.starts_with(affix.bytes()) : text.ends_with(affix.bytes());
  };
  const Value& affix = parameters.required(0);
  if (!affix.is_tuple()) return Value::boolean(matches(affix));
  const Values& affixes = affix.as_sequence().items;
  return Value::boolean(std::any_of(affixes.begin(), affixes.end(), matches));
}

template <End end>
Value without_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("removeprefix", arguments, {"affix"});
  parameters.required(0);
  const std::string affix = parameters.text(0, "");
  const std::string& text = self.bytes();
  if (end == End::kStart && text.starts_with(affix))
    return text_like(runtime, self, text.substr(affix.size()));
  if (end == End::kEnd && text.ends_with(affix))
    return text_like(runtime, self, text.substr(0, text.size() - affix.size()));
  return self;
}

Value replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("replace", arguments, {"old", "new", "count"});
  parameters.required(0);
  parameters.required(1);
  const std::string from = parameters.text(0, "");
  parameters.text(1, "");  // fails unless text
  const std::string to = self.is_safe() ? escape_html(runtime, parameters.required(1)).bytes()
                                        : parameters.required(1).bytes();
  return text_like(runtime, self,
                   replace_all(runtime, self.bytes(), {from, to, parameters.integer(2, -1)}));
}

template <Side from>
Value split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("split", arguments, {"sep", "maxsplit"});
  SplitOptions options;
  options.max_splits = parameters.integer(1, -1);
  options.from = from;
  if (parameters.given(0) && !parameters.required(0).is_none()) {
    options.separator = parameters.text(0, "");
    if (options.separator.empty()) throw Failure("empty separator");
  }
  runtime.charge_text(self.bytes().size());
  Values parts;
  for (const std::string_view piece : split_text(self.bytes(), options))
    parts.push_back(text_like(runtime, self, std::string(piece)));
  return Value::list(std::move(parts));
}

Value split_into_lines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("splitlines", arguments, {"keepends"});
  const LineEnds ends = parameters.flag(0, false) ? LineEnds::kKeep : LineEnds::kDrop;
  Values lines;
  for (const std::string_view line : split_lines(self.bytes(), ends))
    lines.push_back(text_like(runtime, self, std::string(line)));
  return Value::list(std::move(lines));
}

template <Side from>
Value partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("partition", arguments, {"sep"});
  parameters.required(0);
  const std::string separator = parameters.text(0, "");
  if (separator.empty()) throw Failure("empty separator");
  const std::string& text = self.bytes();
  const size_t at = from == Side::kLeft ? text.find(separator) : text.rfind(separator);
  const auto piece = [&](std::string bytes) { return text_like(runtime, self, std::move(bytes)); };
  if (at == std::string::npos) {
    return from == Side::kLeft ? Value::tuple({self, piece(""), piece("")})
                               : Value::tuple({piece(""), piece(""), self});
  }
  return Value::tuple(
      {piece(text.substr(0, at)), piece(separator), piece(text.substr(at + separator.size()))});
}

Value join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("join", arguments, {"iterable"});
  const Value& iterable = parameters.required(0);
  std::string out;
  bool first = true;
  for (const Value& item : iterate(runtime, iterable)) {
    item.require_defined();
    if (!item.is_text() && !self.is_safe()) {
      throw Failure(
          fmt::format("sequence item: expected str instance, {} found", item.type_name()));
    }
    if (!std::exchange(first, false)) out += self.bytes();
    out += self.is_safe() ? escape_html(runtime, item).bytes() : item.bytes();
    runtime.charge_text(item.is_text() ? item.bytes().size() : 0);
    if (out.size() > runtime.limits().max_text) runtime.charge_text(out.size());
  }
  return text_like(runtime, self, std::move(out));
}

// Position of a found byte offset in code points; -1 stays.
int64_t code_point_index(const std::string& text, size_t offset) {
  return offset == std::string::npos
             ? -1
             : static_cast<int64_t>(count_code_points(std::string_view(text).substr(0, offset)));
}

enum class Missing { kMinusOne, kFails };

template <Side from, Missing missing>
Value find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("find", arguments, {"sub", "start", "end"});
  parameters.required(0);
  const std::string wanted = parameters.text(0, "");
  const std::string text = part(runtime, self, parameters);
  runtime.charge_text(text.size());
  int64_t index =
      code_point_index(text, from == Side::kLeft ? text.find(wanted) : text.rfind(wanted));
  if (index < 0) {
    if (missing == Missing::kFails) throw Failure("substring not found");
    return Value::integer(-1);
  }
  const int64_t start =
      parameters.given(1) && !parameters.required(1).is_none() ? parameters.integer(1, 0) : 0;
  const int64_t size = length(self);
  return Value::integer(index +
                        (start < 0 ? std::max<int64_t>(start + size, 0) : std::min(start, size)));
}

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("count", arguments, {"sub", "start", "end"});
  parameters.required(0);
  const std::string wanted = parameters.text(0, "");
  const std::string text = part(runtime, self, parameters);
  runtime.charge_text(text.size());
  if (wanted.empty()) return Value::integer(static_cast<int64_t>(count_code_points(text)) + 1);
  int64_t found = 0;
  for (size_t at = text.find(wanted); at != std::string::npos;
       at = text.find(wanted, at + wanted.size()))
    ++found;
  return Value::integer(found);
}

enum class Alignment { kLeft, kCenter, kRight };

template <Alignment alignment>
Value justified(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("justify", arguments, {"width", "fillchar"});
  parameters.required(0);
  const std::string fill = parameters.text(1, " ");
  if (count_code_points(fill) != 1)
    throw Failure("The fill character must be exactly one character long");
  const int64_t size = length(self);
  const int64_t width = parameters.integer(0, 0);
  if (width <= size) return self;
  runtime.charge_text(static_cast<size_t>(std::min<int64_t>(width, INT64_C(1) << 40)));
  const int64_t missing = width - size;
  // Python puts the odd blank to the left where both the gap and the width are odd.
  const int64_t left = alignment == Alignment::kLeft    ? 0
                       : alignment == Alignment::kRight ? missing
                                                        : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.bytes();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return text_like(runtime, self, std::move(out));
}

Value zero_filled(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("zfill", arguments, {"width"});
  parameters.required(0);
  const int64_t size = length(self);
  const int64_t width = parameters.integer(0, 0);
  if (width <= size) return self;
  runtime.charge_text(static_cast<size_t>(std::min<int64_t>(width, INT64_C(1) << 40)));
  const std::string& text = self.bytes();
  const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  return text_like(runtime, self,
                   text.substr(0, sign) + std::string(static_cast<size_t>(width - size), '0') +
                       text.substr(sign));
}

// isdigit() and the like: not empty, and every character is one.
template <bool (*predicate)(char32_t)>
Value all_are(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("this method", arguments, {});
  runtime.charge_text(self.bytes().size());
  const std::u32string text = to_code_points(self.bytes());
  return Value::boolean(!text.empty() && std::all_of(text.begin(), text.end(), predicate));
}

bool is_alphanumeric(char32_t c) { return is_alpha(c) || is_numeric(c); }

template <bool (*wanted)(char32_t), bool (*unwanted)(char32_t)>
Value has_case(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("this method", arguments, {});
  runtime.charge_text(self.bytes().size());
  const std::u32string text = to_code_points(self.bytes());
  return Value::boolean(std::any_of(text.begin(), text.end(), wanted) &&
                        std::none_of(text.begin(), text.end(), unwanted));
}

constexpr auto kStringMethods = std::to_array<NamedMethod>({
    {"upper", converted<to_upper>},
    {"lower", converted<to_lower>},
    {"casefold", converted<to_lower>},
    {"title", converted<title_case>},
    {"capitalize", converted<capitalize>},
    {"swapcase", converted<swap_case>},
    {"strip", stripped<Side::kBoth>},
    {"lstrip", stripped<Side::kLeft>},
    {"rstrip", stripped<Side::kRight>},
    {"startswith", has_affix<End::kStart>},
    {"endswith", has_affix<End::kEnd>},
    {"removeprefix", without_affix<End::kStart>},
    {"removesuffix", without_affix<End::kEnd>},
    {"replace", replace},
    {"split", split<Side::kLeft>},
    {"rsplit", split<Side::kRight>},
    {"splitlines", split_into_lines},
    {"partition", partition<Side::kLeft>},
    {"rpartition", partition<Side::kRight>},
    {"join", join},
    {"find", find<Side::kLeft, Missing::kMinusOne>},
    {"rfind", find<Side::kRight, Missing::kMinusOne>},
    {"index", find<Side::kLeft, Missing::kFails>},
    {"rindex", find<Side::kRight, Missing::kFails>},
    {"count", count},
    {"ljust", justified<Alignment::kLeft>},
    {"rjust", justified<Alignment::kRight>},
    {"center", justified<Alignment::kCenter>},
    {"zfill", zero_filled},
    {"isdigit", all_are<is_digit>},
    {"isdecimal", all_are<is_decimal>},
    {"isnumeric", all_are<is_numeric>},
    {"isalpha", all_are<is_alpha>},
    {"isalnum", all_are<is_alphanumeric>},
    {"isspace", all_are<is_space>},
    {"isprintable", all_are<is_printable>},
    {"isupper", has_case<is_upper, is_lower>},
    {"islower", has_case<is_lower, is_upper>},
    {"format", brace_format},
});

}  // namespace

FilterFunction find_string_method(std::string_view name) {
  const auto* found = std::find_if(kStringMethods.begin(), kStringMethods.end(),
                                   [&](const NamedMethod& method) { return method.name == name; });
  return found == kStringMethods.end() ? nullptr : found->call;
}

}  // namespace rung::text::jinja
