// Tables of what templates find without defining it: filters, tests, methods, global functions.
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

using FilterFunction = Value (*)(Runtime&, const Value& input, const Arguments&);
using TestFunction = bool (*)(Runtime&, const Value& input, const Arguments&);
using GlobalFunction = Value (*)(Runtime&, const Arguments&);

struct NamedFilter {
  std::string_view name;
  FilterFunction call;
};
struct NamedTest {
  std::string_view name;
  TestFunction call;
};
// A method of a type is a filter on `self`.
using NamedMethod = NamedFilter;

bool has_filter(std::string_view name);
// Each fails with the name where there is none.
FilterFunction find_filter(std::string_view name);
TestFunction find_test(std::string_view name);
// Null where there is none.
FilterFunction find_string_method(std::string_view name);
FilterFunction find_container_method(const Value& self, std::string_view name);
// Whether `name` is a method that would change `self`, which the sandbox hides.
bool is_changing_method(const Value& self, std::string_view name);

// range, dict, namespace, joiner, raise_exception, strftime_now; none otherwise.
std::optional<Value> find_global(std::string_view name);

// Fails for names that namespaces refuse (a leading underscore).
void check_namespace_attribute(std::string_view name);

}  // namespace rung::text::jinja
