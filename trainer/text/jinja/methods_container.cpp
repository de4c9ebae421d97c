// Methods of dicts, lists and tuples. Those that would change them are refused, as in jinja2's
// immutable sandbox.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/jinja/builtins.h"
#include "text/jinja/failure.h"
#include "text/jinja/operators.h"
#include "text/jinja/parameters.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

Value dict_get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("get", arguments, {"key", "default"});
  const Value& key = parameters.required(0);
  require_hashable(key);
  runtime.charge(self.as_dict().entries.size() / 8);
  const Value* found =
      key.is_text() ? self.as_dict().find(std::string_view(key.bytes())) : self.as_dict().find(key);
  return found != nullptr ? *found : parameters.value_or(1, Value());
}

Value dict_keys(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("keys", arguments, {});
  return Value::sequence(SequenceKind::kKeys, iterate(runtime, self));
}

Value dict_values(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("values", arguments, {});
  Values values;
  for (const auto& entry : self.as_dict().entries) values.push_back(entry.second);
  runtime.charge(values.size());
  return Value::sequence(SequenceKind::kValues, std::move(values));
}

Value dict_items(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none("items", arguments, {});
  Values items;
  for (const auto& [key, value] : self.as_dict().entries)
    items.push_back(Value::tuple({key, value}));
  runtime.charge(items.size());
  return Value::sequence(SequenceKind::kItems, std::move(items));
}

Value copy(Runtime&, const Value& self, const Arguments& arguments) {
  const Parameters none("copy", arguments, {});
  return self;  // nothing can change it
}

Value sequence_index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("index", arguments, {"value"});
  const Value& wanted = parameters.required(0);
  runtime.charge(self.weight());
  const Values& items = self.as_sequence().items;
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const Value& item) { return equal(item, wanted); });
  if (found == items.end())
    throw Failure(fmt::format("{} is not in list", to_repr(runtime, wanted)));
  return Value::integer(found - items.begin());
}

Value sequence_count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters parameters("count", arguments, {"value"});
  const Value& wanted = parameters.required(0);
  runtime.charge(self.weight());
  const Values& items = self.as_sequence().items;
  return Value::integer(std::count_if(items.begin(), items.end(),
                                      [&](const Value& item) { return equal(item, wanted); }));
}

constexpr auto kDictMethods = std::to_array<NamedMethod>({
    {"get", dict_get},
    {"keys", dict_keys},
    {"values", dict_values},
    {"items", dict_items},
    {"copy", copy},
});

constexpr auto kListMethods = std::to_array<NamedMethod>({
    {"index", sequence_index},
    {"count", sequence_count},
    {"copy", copy},
});

constexpr auto kDictChanges =
    std::to_array<std::string_view>({"pop", "popitem", "update", "setdefault", "clear"});
constexpr auto kListChanges = std::to_array<std::string_view>(
    {"append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear"});

constexpr size_t kNumTupleMethods = 2;  // the first ones of kListMethods

template <typename Iterator>
FilterFunction find_in(Iterator begin, Iterator end, std::string_view name) {
  const auto found =
      std::find_if(begin, end, [&](const NamedMethod& method) { return method.name == name; });
  return found == end ? nullptr : found->call;
}

}  // namespace

FilterFunction find_container_method(const Value& self, std::string_view name) {
  if (self.is_dict()) return find_in(kDictMethods.begin(), kDictMethods.end(), name);
  if (self.is_list()) return find_in(kListMethods.begin(), kListMethods.end(), name);
  if (self.is_tuple())
    return find_in(kListMethods.begin(), kListMethods.begin() + kNumTupleMethods, name);
  return nullptr;
}

bool is_changing_method(const Value& self, std::string_view name) {
  const auto names = [&](const auto& changes) {
    return std::find(changes.begin(), changes.end(), name) != changes.end();
  };
  return (self.is_dict() && names(kDictChanges)) || (self.is_list() && names(kListChanges));
}

}  // namespace rung::text::jinja
