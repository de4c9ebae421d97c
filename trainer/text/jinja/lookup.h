// object.name and object[index], with jinja2's fallbacks from one to the other.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

// object.name: a method or attribute, else the item of that name; undefined where there is neither.
// Fails on an undefined object.
Value get_attribute(Runtime& runtime, const Value& object, std::string_view name);

// object[index]: an item, else for a text index the attribute; undefined where there is neither.
Value get_item(Runtime& runtime, const Value& object, const Value& index);

// Follows a dotted path of names and numbers, as map(attribute="a.0.b") does.
Value get_path(Runtime& runtime, const Value& object, const Value& path);

}  // namespace rung::text::jinja
