#include "text/jinja/write.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/failure.h"
#include "text/jinja/unicode.h"

namespace rung::text::jinja {
namespace {

// Namespaces may hold each other in a circle, so writing counts levels itself.
constexpr size_t kMaxLevels = 250;

void check_level(size_t level) {
  if (level > kMaxLevels) throw Failure("a value that holds itself cannot be written");
}

class ReprWriter {
 public:
  explicit ReprWriter(Runtime& runtime) : runtime_(runtime) {}

  void write(const Value& value, size_t level) {
    check_level(level);
    runtime_.charge(1);
    if (value.is_text()) {
      add(value.is_safe() ? fmt::format("Markup({})", text_repr(value.bytes()))
                          : text_repr(value.bytes()));
    } else if (value.is_sequence()) {
      write_sequence(value, level);
    } else if (value.is_dict()) {
      write_dict(value.as_dict(), level);
    } else if (value.is_namespace()) {
      write_namespace(value.as_namespace(), level);
    } else {
      add(scalar(value));
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void add(std::string_view text) {
    out_ += text;
    runtime_.charge_text(text.size());
    if (out_.size() > runtime_.limits().max_text) runtime_.charge_text(out_.size());
  }

  static std::string scalar(const Value& value) {
    if (value.is_none()) return "None";
    if (value.is_undefined()) return "Undefined";
    if (value.is_bool()) return value.as_bool() ? "True" : "False";
    if (value.is_int()) return fmt::format("{}", value.as_integral());
    if (value.is_float()) return float_repr(value.as_double());
    if (value.is_loop())
      return fmt::format("<LoopContext {}/{}>", value.as_loop()->index + 1,
                         value.as_loop()->items.size());
    return fmt::format("<function {}>", value.as_function().name);
  }

  void write_items(const Values& items, size_t level) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) add(", ");
      write(items[i], level + 1);
    }
  }

  void write_sequence(const Value& value, size_t level) {
    const Sequence& sequence = value.as_sequence();
    switch (sequence.kind) {
      case SequenceKind::kList:
        add("[");
        write_items(sequence.items, level);
        return add("]");
      case SequenceKind::kTuple:
      case SequenceKind::kGroup:
        add("(");
        write_items(sequence.items, level);
        return add(sequence.items.size() == 1 ? ",)" : ")");
      case SequenceKind::kRange:
        return write_range(sequence.items);
      case SequenceKind::kIterator:
        return add("<generator object>");
      default:
        add(value.type_name() + "([");
        write_items(sequence.items, level);
        return add("])");
    }
  }

  void write_range(const Values& items) {
    if (items.empty()) return add("range(0, 0)");
    const int64_t first = items.front().as_integral();
    const int64_t step = items.size() > 1 ? items[1].as_integral() - first : 1;
    const int64_t stop = items.back().as_integral() + step;
    add(step == 1 ? fmt::format("range({}, {})", first, stop)
                  : fmt::format("range({}, {}, {})", first, stop, step));
  }

  void write_dict(const Dict& dict, size_t level) {
    add("{");
    for (size_t i = 0; i < dict.entries.size(); ++i) {
      if (i > 0) add(", ");
      write(dict.entries[i].first, level + 1);
      add(": ");
      write(dict.entries[i].second, level + 1);
    }
    add("}");
  }

  void write_namespace(const Namespace& space, size_t level) {
    add("<Namespace {");
    for (size_t i = 0; i < space.attributes.size(); ++i) {
      if (i > 0) add(", ");
      add(text_repr(space.attributes[i].first) + ": ");
      write(space.attributes[i].second, level + 1);
    }
    add("}>");
  }

  Runtime& runtime_;
  std::string out_;
};

void append_unicode_escape(std::string& out, char32_t c) {
  if (c > 0xffff) {
    const char32_t offset = c - 0x10000;
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + static_cast<unsigned>(offset >> 10),
                       0xdc00 + static_cast<unsigned>(offset & 0x3ff));
  } else {
    out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
  }
}

std::string json_string(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (c < 0x20 || (ensure_ascii && c > 0x7e)) {
          append_unicode_escape(out, c);
        } else {
          append_utf8(out, c);
        }
    }
  }
  return out + '"';
}

std::string json_float(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  return float_repr(number);
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void write(const Value& value, size_t level) {
    check_level(level);
    runtime_.charge(1);
    if (value.is_none()) {
      add("null");
    } else if (value.is_bool()) {
      add(value.as_bool() ? "true" : "false");
    } else if (value.is_int()) {
      add(fmt::format("{}", value.as_integral()));
    } else if (value.is_float()) {
      add(json_float(value.as_double()));
    } else if (value.is_text()) {
      add(json_string(value.bytes(), style_.ensure_ascii));
    } else if (value.is_list() || value.is_tuple()) {
      write_array(value.as_sequence().items, level);
    } else if (value.is_dict()) {
      write_object(value.as_dict(), level);
    } else {
      throw Failure(fmt::format("Object of type {} is not JSON serializable", value.type_name()));
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void add(std::string_view text) {
    out_ += text;
    runtime_.charge_text(text.size());
    if (out_.size() > runtime_.limits().max_text) runtime_.charge_text(out_.size());
  }

  void new_line(size_t level) {
    if (!style_.indent) return;
    add("\n");
    for (size_t i = 0; i < level; ++i) add(*style_.indent);
  }

  void write_array(const Values& items, size_t level) {
    if (items.empty()) return add("[]");
    add("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) add(style_.item_separator);
      new_line(level + 1);
      write(items[i], level + 1);
    }
    new_line(level);
    add("]");
  }

  static std::string key_text(const Value& key) {
    if (key.is_text()) return key.bytes();
    if (key.is_none()) return "null";
    if (key.is_bool()) return key.as_bool() ? "true" : "false";
    if (key.is_int()) return fmt::format("{}", key.as_integral());
    if (key.is_float()) return json_float(key.as_double());
    throw Failure(
        fmt::format("keys must be str, int, float, bool or None, not {}", key.type_name()));
  }

  void write_object(const Dict& dict, size_t level) {
    if (dict.entries.empty()) return add("{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto* a, const auto* b) { return less(a->first, b->first); });
    }
    add("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) add(style_.item_separator);
      new_line(level + 1);
      add(json_string(key_text(entries[i]->first), style_.ensure_ascii));
      add(style_.key_separator);
      write(entries[i]->second, level + 1);
    }
    new_line(level);
    add("}");
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string to_text(Runtime& runtime, const Value& value) {
  if (value.is_text()) {
    runtime.charge_text(value.bytes().size());
    return value.bytes();
  }
  if (value.is_undefined()) return "";
  return to_repr(runtime, value);
}

std::string to_repr(Runtime& runtime, const Value& value) {
  ReprWriter writer(runtime);
  writer.write(value, 0);
  return writer.take();
}

std::string float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  std::array<char, 32> buffer;
  const auto scientific = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                                        std::chars_format::scientific);
  const std::string text(buffer.data(), scientific.ptr);
  const size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  // Python writes out exponents from -4 to 15 and leaves the others as they are.
  if (exponent < -4 || exponent >= 16) return text;
  std::array<char, 64> fixed;
  const auto end =
      std::to_chars(fixed.data(), fixed.data() + fixed.size(), number, std::chars_format::fixed);
  std::string plain(fixed.data(), end.ptr);
  if (plain.find('.') == std::string::npos) plain += ".0";
  return plain;
}

std::string text_repr(std::string_view text) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      append_utf8(out, c);
    } else if (c <= 0xff) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else if (c <= 0xffff) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<unsigned>(c));
    }
  }
  return out + quote;
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace rung::text::jinja
