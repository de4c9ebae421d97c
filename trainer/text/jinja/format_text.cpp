#include "text/jinja/format_text.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "text/jinja/failure.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

constexpr int64_t kMaxWidth = 100'000;

// Both mini-languages come down to this.
struct Specification {
  std::string fill = " ";
  char align = '\0';  // < > ^ =; \0: by the type
  char sign = '-';
  bool alternate = false;  // 0x, 0o, 0b in front
  char grouping = '\0';    // , or _
  int64_t width = 0;
  std::optional<int64_t> precision;
  char type = '\0';
};

std::string group_digits(const std::string& digits, char separator) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string pad(std::string sign, std::string body, const Specification& spec, char natural) {
  const auto width = static_cast<size_t>(spec.width);
  const size_t used = count_code_points(sign) + count_code_points(body);
  const size_t missing = width > used ? width - used : 0;
  const char align = spec.align == '\0' ? natural : spec.align;
  const size_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  std::string out;
  for (size_t i = 0; i < left; ++i) out += spec.fill;
  out += sign;
  if (align == '=') {
    for (size_t i = 0; i < missing; ++i) out += spec.fill;
  }
  out += body;
  for (size_t i = left; i < missing && align != '='; ++i) out += spec.fill;
  return out;
}

std::string sign_of(bool negative, const Specification& spec) {
  if (negative) return "-";
  return spec.sign == '+' || spec.sign == ' ' ? std::string(1, spec.sign) : "";
}

std::string format_integer(int64_t number, const Specification& spec) {
  const uint64_t magnitude =
      number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  std::string sign = sign_of(number < 0, spec);
  std::string digits;
  std::string prefix;
  switch (spec.type) {
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      prefix = "0X";
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      prefix = "0o";
      break;
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      prefix = "0b";
      break;
    default:
      digits = fmt::format("{}", magnitude);
  }
  if (spec.alternate) sign += prefix;
  if (spec.grouping != '\0') digits = group_digits(digits, spec.grouping);
  return pad(sign, digits, spec, '>');
}

std::string format_float(double number, const Specification& spec) {
  const double magnitude = std::fabs(number);
  const auto precision = static_cast<int>(spec.precision.value_or(6));
  std::string digits;
  switch (spec.type) {
    case 'f':
    case 'F':
      digits = fmt::format("{:.{}f}", magnitude, precision);
      break;
    case 'e':
      digits = fmt::format("{:.{}e}", magnitude, precision);
      break;
    case 'E':
      digits = fmt::format("{:.{}E}", magnitude, precision);
      break;
    case 'g':
    case 'G':
      digits = fmt::format("{:.{}g}", magnitude, precision == 0 ? 1 : precision);
      break;
    case '%':
      digits = fmt::format("{:.{}f}%", magnitude * 100.0, precision);
      break;
    default:
      digits = spec.precision ? fmt::format("{:.{}g}", magnitude, std::max(precision, 1))
                              : float_repr(magnitude);
  }
  if (spec.grouping != '\0') {
    const size_t point = std::min(digits.find_first_of(".e%"), digits.size());
    digits = group_digits(digits.substr(0, point), spec.grouping) + digits.substr(point);
  }
  return pad(sign_of(std::signbit(number), spec), digits, spec, '>');
}

std::string format_string(std::string text, const Specification& spec) {
  if (spec.precision) {
    const std::u32string code_points = to_code_points(text);
    text =
        to_utf8(std::u32string_view(code_points).substr(0, static_cast<size_t>(*spec.precision)));
  }
  return pad("", std::move(text), spec, '<');
}

// Reads a run of digits at `at`.
std::optional<int64_t> read_count(std::string_view text, size_t& at) {
  std::optional<int64_t> count;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    count = count.value_or(0) * 10 + (text[at] - '0');
    if (*count > kMaxWidth) throw Failure("a width or precision is too large");
  }
  return count;
}

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& format, const Value& values)
      : runtime_(runtime), safe_(format.is_safe()), text_(format.bytes()), values_(values) {}

  std::string run() {
    std::string out;
    while (at_ < text_.size()) {
      const size_t percent = std::min(text_.find('%', at_), text_.size());
      out += text_.substr(at_, percent - at_);
      at_ = percent;
      if (at_ < text_.size()) out += conversion();
      if (out.size() > runtime_.limits().max_text) runtime_.charge_text(out.size());
    }
    const bool all_used = values_.is_tuple() ? next_ >= values_.as_sequence().items.size()
                                             : next_ > 0 || values_.is_dict() || values_.is_list();
    if (!all_used) throw Failure("not all arguments converted during string formatting");
    return out;
  }

 private:
  std::string conversion() {
    ++at_;
    std::optional<Value> named = name();
    Specification spec = flags();
    if (at_ >= text_.size()) throw Failure("incomplete format");
    spec.type = text_[at_++];
    if (spec.type == '%') return "%";
    const Value value = named ? *named : take();
    switch (spec.type) {
      case 's':
        return format_string(
            safe_ ? escape_html(runtime_, value).bytes() : to_text(runtime_, value), right(spec));
      case 'r':
      case 'a':
        return format_string(to_repr(runtime_, value), right(spec));
      case 'c':
        return format_string(character(value), right(spec));
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return format_integer(number(value, spec), digits_only(spec));
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
        return format_float(real(value), spec);
      default:
        throw Failure(fmt::format("unsupported format character '{}'", spec.type));
    }
  }

  std::optional<Value> name() {
    if (at_ >= text_.size() || text_[at_] != '(') return std::nullopt;
    const size_t close = text_.find(')', at_);
    if (close == std::string_view::npos) throw Failure("incomplete format key");
    const std::string_view key = text_.substr(at_ + 1, close - at_ - 1);
    at_ = close + 1;
    if (!values_.is_dict()) throw Failure("format requires a mapping");
    const Value* found = values_.as_dict().find(key);
    if (found == nullptr) throw Failure(fmt::format("KeyError: '{}'", key));
    return *found;
  }

  Specification flags() {
    Specification spec;
    bool zero = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '-') {
        spec.align = '<';
      } else if (c == '+') {
        spec.sign = '+';
      } else if (c == ' ') {
        if (spec.sign != '+') spec.sign = ' ';
      } else if (c == '#') {
        spec.alternate = true;
      } else if (c == '0') {
        zero = true;
      } else {
        break;
      }
    }
    if (zero && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    spec.width = count_or_star(spec);
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      spec.precision = count_or_star(spec);
    }
    return spec;
  }

  int64_t count_or_star(Specification& spec) {
    if (at_ >= text_.size() || text_[at_] != '*') return read_count(text_, at_).value_or(0);
    ++at_;
    const Value count = take();
    if (!count.is_integral()) throw Failure("* wants int");
    const int64_t width = count.as_integral();
    if (width < 0) spec.align = '<';
    if (width > kMaxWidth || width < -kMaxWidth) throw Failure("a width is too large");
    return std::abs(width);
  }

  // Text is set to the right, and never filled with zeros.
  static Specification right(Specification spec) {
    if (spec.align != '<') spec.align = '>';
    spec.fill = " ";
    return spec;
  }

  static Specification digits_only(Specification spec) {
    spec.precision.reset();
    return spec;
  }

  Value take() {
    if (!values_.is_tuple()) {
      if (next_++ > 0) throw Failure("not enough arguments for format string");
      return values_;
    }
    const Values& items = values_.as_sequence().items;
    if (next_ >= items.size()) throw Failure("not enough arguments for format string");
    return items[next_++];
  }

  static int64_t number(const Value& value, const Specification& spec) {
    value.require_defined();
    if (value.is_integral()) return value.as_integral();
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (decimal && value.is_float() && std::fabs(value.as_double()) < 9e18)
      return static_cast<int64_t>(value.as_double());
    throw Failure(
        fmt::format("%{} format: a real number is required, not {}", spec.type, value.type_name()));
  }

  static double real(const Value& value) {
    value.require_defined();
    if (!value.is_number())
      throw Failure(fmt::format("must be real number, not {}", value.type_name()));
    return value.as_double();
  }

  static std::string character(const Value& value) {
    value.require_defined();
    if (value.is_text() && count_code_points(value.bytes()) == 1) return value.bytes();
    if (!value.is_integral() || value.as_integral() < 0 || value.as_integral() > 0x10ffff ||
        (value.as_integral() >= 0xd800 && value.as_integral() <= 0xdfff)) {
      throw Failure("%c requires int or char");
    }
    std::string out;
    append_utf8(out, static_cast<char32_t>(value.as_integral()));
    return out;
  }

  Runtime& runtime_;
  bool safe_;
  std::string_view text_;
  const Value& values_;
  size_t at_ = 0;
  size_t next_ = 0;
};

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, std::string_view text, const Arguments& arguments)
      : runtime_(runtime), text_(text), arguments_(arguments) {}

  std::string run() {
    std::string out;
    for (size_t at = 0; at < text_.size();) {
      const char c = text_[at];
      if ((c == '{' || c == '}') && at + 1 < text_.size() && text_[at + 1] == c) {
        out += c;
        at += 2;
      } else if (c == '{') {
        const size_t close = text_.find('}', at);
        if (close == std::string_view::npos) throw Failure("expected '}' before end of string");
        out += field(text_.substr(at + 1, close - at - 1));
        at = close + 1;
      } else if (c == '}') {
        throw Failure("Single '}' encountered in format string");
      } else {
        out += c;
        ++at;
      }
      if (out.size() > runtime_.limits().max_text) runtime_.charge_text(out.size());
    }
    return out;
  }

 private:
  std::string field(std::string_view text) {
    const size_t colon = std::min(text.find(':'), text.size());
    std::string_view name = text.substr(0, colon);
    const std::string_view spec_text = colon < text.size() ? text.substr(colon + 1) : "";
    char conversion = '\0';
    if (const size_t mark = name.find('!'); mark != std::string_view::npos) {
      if (mark + 2 != name.size()) throw Failure("bad conversion in a format string");
      conversion = name[mark + 1];
      name = name.substr(0, mark);
    }
    const Value& value = lookup(name);
    if (conversion == 'r') return format_string(to_repr(runtime_, value), parse(spec_text));
    if (conversion == 's') return format_string(to_text(runtime_, value), parse(spec_text));
    if (conversion != '\0') throw Failure("bad conversion in a format string");
    return format(value, parse(spec_text));
  }

  const Value& lookup(std::string_view name) {
    if (name.find_first_of(".[{") != std::string_view::npos)
      throw Failure("attributes and items in a format string are not supported");
    if (!name.empty() && (name[0] < '0' || name[0] > '9')) {
      for (const auto& [present, value] : arguments_.named) {
        if (present == name) return value;
      }
      throw Failure(fmt::format("KeyError: '{}'", name));
    }
    size_t end = 0;
    const size_t index =
        name.empty() ? next_++ : static_cast<size_t>(read_count(name, end).value_or(0));
    if (index >= arguments_.positional.size())
      throw Failure("Replacement index out of range for positional args tuple");
    return arguments_.positional[index];
  }

  // [[fill]align][sign][#][0][width][,|_][.precision][type]
  static Specification parse(std::string_view text) {
    constexpr std::string_view kAligns = "<>=^";
    Specification spec;
    size_t at = 0;
    if (!text.empty()) {
      size_t after_fill = 0;
      next_code_point(text, after_fill);
      if (after_fill < text.size() && kAligns.find(text[after_fill]) != std::string_view::npos) {
        spec.fill = std::string(text.substr(0, after_fill));
        spec.align = text[after_fill];
        at = after_fill + 1;
      } else if (kAligns.find(text[0]) != std::string_view::npos) {
        spec.align = text[0];
        at = 1;
      }
    }
    const auto take = [&](std::string_view choices) {
      if (at >= text.size() || choices.find(text[at]) == std::string_view::npos) return '\0';
      return text[at++];
    };
    if (const char sign = take("+- ")) spec.sign = sign;
    spec.alternate = take("#") != '\0';
    if (take("0") != '\0' && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    spec.width = read_count(text, at).value_or(0);
    spec.grouping = take(",_");
    if (take(".") != '\0') spec.precision = read_count(text, at).value_or(0);
    spec.type = take("bdoxXeEfFgGs%");
    if (at != text.size()) throw Failure(fmt::format("Invalid format specifier '{}'", text));
    return spec;
  }

  std::string format(const Value& value, const Specification& spec) const {
    constexpr std::string_view kFloatTypes = "eEfFgG%";
    const bool float_type = spec.type != '\0' && kFloatTypes.find(spec.type) != std::string::npos;
    if (value.is_bool() && spec.type == '\0') return format_string(to_text(runtime_, value), spec);
    if (value.is_integral() && !float_type && spec.type != 's')
      return format_integer(value.as_integral(), spec);
    if (value.is_number() && (float_type || spec.type == '\0'))
      return format_float(value.as_double(), spec);
    if (value.is_number() || (spec.type != '\0' && spec.type != 's')) {
      throw Failure(fmt::format("Unknown format code '{}' for object of type '{}'", spec.type,
                                value.type_name()));
    }
    return format_string(to_text(runtime_, value), spec);
  }

  Runtime& runtime_;
  std::string_view text_;
  const Arguments& arguments_;
  size_t next_ = 0;
};

}  // namespace

Value percent_format(Runtime& runtime, const Value& format, const Value& values) {
  return text_like(runtime, format, PercentFormatter(runtime, format, values).run());
}

Value brace_format(Runtime& runtime, const Value& format, const Arguments& arguments) {
  return text_like(runtime, format, BraceFormatter(runtime, format.bytes(), arguments).run());
}

}  // namespace rung::text::jinja
