#include "text/jinja/lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "text/jinja/builtins.h"
#include "text/jinja/failure.h"
#include "text/jinja/unicode.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

Value bind(FilterFunction method, std::string_view name, const Value& self) {
  return Value::function(
      std::string(name),
      [method, self](Runtime& runtime, const Arguments& arguments) {
        return method(runtime, self, arguments);
      },
      self.depth());
}

Value neighbour(const Loop& loop, std::ptrdiff_t offset) {
  const auto index = static_cast<std::ptrdiff_t>(loop.index) + offset;
  if (index < 0) return Value::undefined("there is no previous item");
  if (index >= static_cast<std::ptrdiff_t>(loop.items.size()))
    return Value::undefined("there is no next item");
  return loop.items[static_cast<size_t>(index)];
}

// loop.cycle(a, b): a, b, a, ...
Value cycle(const std::shared_ptr<Loop>& loop) {
  return Value::function("cycle", [loop](Runtime&, const Arguments& arguments) {
    if (arguments.positional.empty()) throw Failure("no items for cycling given");
    return arguments.positional[loop->index % arguments.positional.size()];
  });
}

// loop.changed(a): whether the arguments differ from those of the latest call.
Value changed(const std::shared_ptr<Loop>& loop) {
  return Value::function("changed", [loop](Runtime&, const Arguments& arguments) {
    const Values& now = arguments.positional;
    const bool same =
        loop->has_changed && std::equal(now.begin(), now.end(), loop->last_changed.begin(),
                                        loop->last_changed.end(), equal);
    loop->has_changed = true;
    loop->last_changed = now;
    return Value::boolean(!same);
  });
}

std::optional<Value> loop_attribute(const std::shared_ptr<Loop>& loop, std::string_view name) {
  const auto index = static_cast<int64_t>(loop->index);
  const auto size = static_cast<int64_t>(loop->items.size());
  const auto depth = static_cast<int64_t>(loop->depth);
  if (name == "index") return Value::integer(index + 1);
  if (name == "index0") return Value::integer(index);
  if (name == "revindex") return Value::integer(size - index);
  if (name == "revindex0") return Value::integer(size - index - 1);
  if (name == "first") return Value::boolean(index == 0);
  if (name == "last") return Value::boolean(index + 1 == size);
  if (name == "length") return Value::integer(size);
  if (name == "depth") return Value::integer(depth);
  if (name == "depth0") return Value::integer(depth - 1);
  if (name == "previtem") return neighbour(*loop, -1);
  if (name == "nextitem") return neighbour(*loop, 1);
  if (name == "cycle") return cycle(loop);
  if (name == "changed") return changed(loop);
  return std::nullopt;
}

// What Python's getattr finds on `object`, if anything.
std::optional<Value> own_attribute(const Value& object, std::string_view name) {
  if (object.is_namespace()) {
    const Value* value = object.as_namespace().find(name);
    return value != nullptr ? std::optional(*value) : std::nullopt;
  }
  if (object.is_loop()) return loop_attribute(object.as_loop(), name);
  if (object.is_sequence() && object.as_sequence().kind == SequenceKind::kGroup) {
    if (name == "grouper") return object.as_sequence().items[0];
    if (name == "list") return object.as_sequence().items[1];
  }
  if (object.is_function() && name == "name") return Value::text(object.as_function().name);
  if (is_changing_method(object, name)) {
    return Value::undefined(fmt::format("access to attribute '{}' of '{}' object is unsafe.", name,
                                        object.type_name()));
  }
  const FilterFunction method =
      object.is_text() ? find_string_method(name) : find_container_method(object, name);
  return method != nullptr ? std::optional(bind(method, name, object)) : std::nullopt;
}

// The item at `index`, if `object` has items and that one.
std::optional<Value> own_item(Runtime& runtime, const Value& object, const Value& index) {
  if (object.is_dict()) {
    runtime.charge(object.as_dict().entries.size() / 8);
    if (index.is_list() || index.is_dict()) return std::nullopt;
    const Value* value = index.is_text() ? object.as_dict().find(std::string_view(index.bytes()))
                                         : object.as_dict().find(index);
    return value != nullptr ? std::optional(*value) : std::nullopt;
  }
  if (!index.is_integral()) return std::nullopt;
  const auto resolve = [&](size_t size) -> std::optional<size_t> {
    const int64_t position = index.as_integral();
    const auto count = static_cast<int64_t>(size);
    if (position >= count || position < -count) return std::nullopt;
    return static_cast<size_t>(position < 0 ? position + count : position);
  };
  if (object.is_text()) {
    runtime.charge_text(object.bytes().size());
    const std::vector<std::string_view> parts = split_code_points(object.bytes());
    const auto position = resolve(parts.size());
    if (!position) return std::nullopt;
    return Value::text(std::string(parts[*position]),
                       object.is_safe() ? Safety::kSafe : Safety::kPlain);
  }
  const bool indexable =
      object.is_list() || object.is_tuple() ||
      (object.is_sequence() && object.as_sequence().kind == SequenceKind::kRange);
  if (!indexable) return std::nullopt;
  const Values& items = object.as_sequence().items;
  const auto position = resolve(items.size());
  return position ? std::optional(items[*position]) : std::nullopt;
}

std::string describe(const Value& object) {
  return object.is_none() ? "None" : object.type_name() + " object";
}

Value no_attribute(const Value& object, std::string_view name) {
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", describe(object), name));
}

}  // namespace

Value get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  object.require_defined();
  if (auto value = own_attribute(object, name)) return *std::move(value);
  if (object.is_dict()) {
    runtime.charge(object.as_dict().entries.size() / 8);
    if (const Value* value = object.as_dict().find(name)) return *value;
  }
  return no_attribute(object, name);
}

Value get_item(Runtime& runtime, const Value& object, const Value& index) {
  object.require_defined();
  if (auto value = own_item(runtime, object, index)) return *std::move(value);
  if (index.is_text()) {
    if (auto value = own_attribute(object, index.bytes())) return *std::move(value);
    return no_attribute(object, index.bytes());
  }
  return Value::undefined(
      fmt::format("{} has no element {}", describe(object), to_repr(runtime, index)));
}

Value get_path(Runtime& runtime, const Value& object, const Value& path) {
  if (path.is_none()) return object;
  if (!path.is_text()) return get_item(runtime, object, path);
  Value value = object;
  const std::string& names = path.bytes();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find('.', begin), names.size());
    const std::string part = names.substr(begin, end - begin);
    const bool number = !part.empty() && part.size() < 10 &&
                        part.find_first_not_of("0123456789") == std::string::npos;
    value = get_item(runtime, value, number ? Value::integer(std::stoll(part)) : Value::text(part));
    begin = end + 1;
  }
  return value;
}

}  // namespace rung::text::jinja
