// The functions a template may call without defining them.

#include <fmt/format.h>

#include <array>
#include <ctime>

#include "text/jinja/builtins.h"
#include "text/jinja/failure.h"
#include "text/jinja/operators.h"
#include "text/jinja/parameters.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

// The sandbox's bound on range().
constexpr int64_t kMaxRange = 100'000;

Value global_range(Runtime& runtime, const Arguments& arguments) {
  const Parameters parameters("range", arguments, {"start", "stop", "step"});
  parameters.required(0);
  const bool only_stop = !parameters.given(1);
  const int64_t start = only_stop ? 0 : parameters.integer(0, 0);
  const int64_t stop = parameters.integer(only_stop ? 0 : 1, 0);
  const int64_t step = parameters.integer(2, 1);
  if (step == 0) throw Failure("range() arg 3 must not be zero");
  Values items;
  int64_t value = start;
  while (step > 0 ? value < stop : value > stop) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange)
      throw Failure(
          fmt::format("Range too big. The sandbox blocks ranges larger than {}.", kMaxRange));
    items.push_back(Value::integer(value));
    if (__builtin_add_overflow(value, step, &value)) break;
  }
  runtime.charge(items.size());
  return Value::sequence(SequenceKind::kRange, std::move(items));
}

// dict(mapping or pairs, **more), the entries of which namespace() takes too.
Value global_dict(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.size() > 1)
    throw Failure(
        fmt::format("dict expected at most 1 argument, got {}", arguments.positional.size()));
  std::vector<std::pair<Value, Value>> entries;
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    source.require_defined();
    if (source.is_dict()) {
      entries = source.as_dict().entries;
    } else {
      for (const Value& pair : iterate(runtime, source)) {
        Values parts = iterate(runtime, pair);
        if (parts.size() != 2) throw Failure("dict() needs pairs of a key and a value");
        entries.emplace_back(std::move(parts[0]), std::move(parts[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.named) entries.emplace_back(Value::text(name), value);
  runtime.charge(1 + entries.size() * entries.size() / 64);  // every key is compared with all
  return Value::dict(std::move(entries));
}

Value global_namespace(Runtime& runtime, const Arguments& arguments) {
  const Value attributes = global_dict(runtime, arguments);
  auto space = std::make_shared<Namespace>();
  for (const auto& [name, value] : attributes.as_dict().entries) {
    if (!name.is_text()) throw Failure("attribute names of a namespace must be text");
    check_namespace_attribute(name.bytes());
    space->set(name.bytes(), value);
  }
  runtime.keep(space);
  return Value::of(std::move(space));
}

// joiner(", "): a function that returns "" the first time and the separator from then on.
Value global_joiner(Runtime&, const Arguments& arguments) {
  const Parameters parameters("joiner", arguments, {"sep"});
  const Value separator = parameters.value_or(0, Value::text(", "));
  return Value::function(
      "joiner",
      [separator, used = std::make_shared<bool>(false)](Runtime&, const Arguments&) {
        return std::exchange(*used, true) ? separator : Value::text("");
      },
      separator.depth());
}

Value global_raise_exception(Runtime& runtime, const Arguments& arguments) {
  const Parameters parameters("raise_exception", arguments, {"message"});
  throw Failure(to_text(runtime, parameters.required(0)));
}

Value global_strftime_now(Runtime& runtime, const Arguments& arguments) {
  const Parameters parameters("strftime_now", arguments, {"format"});
  parameters.required(0);
  const std::string format = parameters.text(0, "");
  if (format.empty()) return Value::text("");
  const std::tm now = runtime.now();
  // strftime returns 0 both for an empty result and for too small a buffer.
  for (size_t size = 256; size <= size_t{1} << 16; size *= 2) {
    std::string text(size, '\0');
    const size_t written = std::strftime(text.data(), text.size(), format.c_str(), &now);
    if (written > 0) return Value::text(text.substr(0, written));
  }
  return Value::text("");
}

struct NamedGlobal {
  std::string_view name;
  GlobalFunction call;
};

constexpr std::array kGlobals = {
    NamedGlobal{"range", global_range},
    NamedGlobal{"dict", global_dict},
    NamedGlobal{"namespace", global_namespace},
    NamedGlobal{"joiner", global_joiner},
    NamedGlobal{"raise_exception", global_raise_exception},
    NamedGlobal{"strftime_now", global_strftime_now},
};

}  // namespace

void check_namespace_attribute(std::string_view name) {
  if (!name.empty() && name.front() == '_') {
    throw Failure(fmt::format(
        "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{}'",
        name));
  }
}

std::optional<Value> find_global(std::string_view name) {
  for (const NamedGlobal& global : kGlobals) {
    if (global.name == name) return Value::function(std::string(name), global.call);
  }
  return std::nullopt;
}

}  // namespace rung::text::jinja
