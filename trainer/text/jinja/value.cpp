#include "text/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/failure.h"

namespace rung::text::jinja {
namespace {

// Bounds of one container. Real conversations nest a dozen levels and hold thousands of values.
constexpr size_t kMaxNesting = 200;
constexpr size_t kMaxWeight = 4'000'000;

struct Extent {
  size_t depth = 1;
  size_t weight = 1;

  void add(const Value& value) {
    depth = std::max(depth, 1 + value.depth());
    weight += value.weight();
    if (depth > kMaxNesting)
      throw Failure(fmt::format("a value nests more than {} levels deep", kMaxNesting));
    if (weight > kMaxWeight)
      throw Failure(fmt::format("a value holds more than {} items", kMaxWeight));
  }
};

Value json_to_value(const nlohmann::ordered_json& json, size_t level) {
  if (level > kMaxNesting)
    throw Failure(fmt::format("a value nests more than {} levels deep", kMaxNesting));
  switch (json.type()) {
    case nlohmann::ordered_json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case nlohmann::ordered_json::value_t::number_integer:
      return Value::integer(json.get<int64_t>());
    case nlohmann::ordered_json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      return number <= INT64_MAX ? Value::integer(static_cast<int64_t>(number))
                                 : Value::real(static_cast<double>(number));
    }
    case nlohmann::ordered_json::value_t::number_float:
      return Value::real(json.get<double>());
    case nlohmann::ordered_json::value_t::string:
      return Value::text(json.get_ref<const std::string&>());
    case nlohmann::ordered_json::value_t::array: {
      Values items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(json_to_value(item, level + 1));
      return Value::list(std::move(items));
    }
    case nlohmann::ordered_json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      entries.reserve(json.size());
      for (const auto& [key, item] : json.items())
        entries.emplace_back(Value::text(key), json_to_value(item, level + 1));
      return Value::dict(std::move(entries));
    }
    default:
      return Value();
  }
}

bool equal_items(const Values& left, const Values& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), equal);
}

bool equal_dicts(const Dict& left, const Dict& right) {
  if (left.entries.size() != right.entries.size()) return false;
  return std::all_of(left.entries.begin(), left.entries.end(), [&](const auto& entry) {
    const Value* other = right.find(entry.first);
    return other != nullptr && equal(entry.second, *other);
  });
}

bool same_sequence_type(const Value& left, const Value& right) {
  const SequenceKind a = left.as_sequence().kind;
  return (left.is_tuple() && right.is_tuple()) ||
         (a == right.as_sequence().kind && (a == SequenceKind::kList || a == SequenceKind::kRange));
}

// long double holds every int64 and every double exactly.
long double exact(const Value& number) {
  return number.is_float() ? static_cast<long double>(number.as_double())
                           : static_cast<long double>(number.as_integral());
}

}  // namespace

Value Value::undefined(std::string message) {
  return Value(Storage(Undefined{std::make_shared<const std::string>(std::move(message))}));
}

Value Value::text(std::string bytes, Safety safety) {
  return Value(Storage(std::make_shared<const Text>(Text{std::move(bytes), safety})));
}

Value Value::list(Values items) { return sequence(SequenceKind::kList, std::move(items)); }

Value Value::tuple(Values items) { return sequence(SequenceKind::kTuple, std::move(items)); }

Value Value::sequence(SequenceKind kind, Values items) {
  Extent extent;
  for (const Value& item : items) extent.add(item);
  return Value(Storage(std::make_shared<Sequence>(
      Sequence{kind, std::move(items), false, extent.depth, extent.weight})));
}

Value Value::dict(std::vector<std::pair<Value, Value>> entries) {
  auto dict = std::make_shared<Dict>();
  Extent extent;
  for (auto& [key, value] : entries) {
    require_hashable(key);
    extent.add(key);
    extent.add(value);
    const auto present = std::find_if(dict->entries.begin(), dict->entries.end(),
                                      [&](const auto& entry) { return equal(entry.first, key); });
    if (present != dict->entries.end()) {
      present->second = std::move(value);
    } else {
      dict->entries.emplace_back(std::move(key), std::move(value));
    }
  }
  dict->depth = extent.depth;
  dict->weight = extent.weight;
  return Value(Storage(std::shared_ptr<const Dict>(std::move(dict))));
}

Value Value::function(std::string name, std::function<Value(Runtime&, const Arguments&)> call,
                      size_t held) {
  if (held >= kMaxNesting)
    throw Failure(fmt::format("a value nests more than {} levels deep", kMaxNesting));
  return Value(Storage(
      std::make_shared<const Function>(Function{std::move(name), std::move(call), held + 1})));
}

Value Value::from_json(const nlohmann::ordered_json& json) { return json_to_value(json, 0); }

bool Value::is_safe() const {
  return is_text() && std::get<std::shared_ptr<const Text>>(storage_)->safety == Safety::kSafe;
}

bool Value::is_list() const { return is_sequence() && as_sequence().kind == SequenceKind::kList; }

bool Value::is_tuple() const {
  return is_sequence() &&
         (as_sequence().kind == SequenceKind::kTuple || as_sequence().kind == SequenceKind::kGroup);
}

double Value::as_double() const {
  return is_float() ? std::get<double>(storage_) : static_cast<double>(as_integral());
}

const std::string& Value::bytes() const {
  return std::get<std::shared_ptr<const Text>>(storage_)->bytes;
}

bool Value::truthy() const {
  if (is_none() || is_undefined()) return false;
  if (is_bool()) return as_bool();
  if (is_int()) return as_integral() != 0;
  if (is_float()) return as_double() != 0.0;
  if (is_text()) return !bytes().empty();
  if (is_sequence())
    return as_sequence().kind == SequenceKind::kIterator || !as_sequence().items.empty();
  if (is_dict()) return !as_dict().entries.empty();
  return true;
}

std::string Value::type_name() const {
  if (is_none()) return "NoneType";
  if (is_undefined()) return "Undefined";
  if (is_bool()) return "bool";
  if (is_int()) return "int";
  if (is_float()) return "float";
  if (is_text()) return is_safe() ? "Markup" : "str";
  if (is_dict()) return "dict";
  if (is_namespace()) return "Namespace";
  if (is_loop()) return "LoopContext";
  if (is_function()) return "function";
  switch (as_sequence().kind) {
    case SequenceKind::kList:
      return "list";
    case SequenceKind::kTuple:
    case SequenceKind::kGroup:
      return "tuple";
    case SequenceKind::kRange:
      return "range";
    case SequenceKind::kKeys:
      return "dict_keys";
    case SequenceKind::kValues:
      return "dict_values";
    case SequenceKind::kItems:
      return "dict_items";
    case SequenceKind::kIterator:
      return "generator";
  }
  return "object";
}

void Value::require_defined() const {
  if (const auto* undefined = std::get_if<Undefined>(&storage_)) throw Failure(*undefined->message);
}

size_t Value::depth() const {
  if (is_sequence()) return as_sequence().depth;
  if (is_function()) return as_function().depth;
  return is_dict() ? as_dict().depth : 0;
}

size_t Value::weight() const {
  if (is_sequence()) return as_sequence().weight;
  return is_dict() ? as_dict().weight : 1;
}

const Value* Dict::find(const Value& key) const {
  for (const auto& [present, value] : entries) {
    if (equal(present, key)) return &value;
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [present, value] : entries) {
    if (present.is_text() && present.bytes() == key) return &value;
  }
  return nullptr;
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [present, value] : attributes) {
    if (present == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [present, slot] : attributes) {
    if (present == name) {
      slot = std::move(value);
      return;
    }
  }
  attributes.emplace_back(name, std::move(value));
}

bool equal(const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) return exact(left) == exact(right);
  if (left.storage().index() != right.storage().index()) return false;
  if (left.is_none() || left.is_undefined()) return true;
  if (left.is_text()) return left.bytes() == right.bytes();
  if (left.is_dict())
    return &left.as_dict() == &right.as_dict() || equal_dicts(left.as_dict(), right.as_dict());
  if (left.is_sequence()) {
    if (&left.as_sequence() == &right.as_sequence()) return true;
    return same_sequence_type(left, right) &&
           equal_items(left.as_sequence().items, right.as_sequence().items);
  }
  if (left.is_namespace()) return &left.as_namespace() == &right.as_namespace();
  if (left.is_loop()) return left.as_loop() == right.as_loop();
  return &left.as_function() == &right.as_function();
}

bool less(const Value& left, const Value& right) {
  left.require_defined();
  right.require_defined();
  if (left.is_number() && right.is_number()) return exact(left) < exact(right);
  // The order of UTF-8 bytes is the order of code points.
  if (left.is_text() && right.is_text()) return left.bytes() < right.bytes();
  if (left.is_sequence() && right.is_sequence() && same_sequence_type(left, right) &&
      left.as_sequence().kind != SequenceKind::kRange) {
    const Values& a = left.as_sequence().items;
    const Values& b = right.as_sequence().items;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (!equal(a[i], b[i])) return less(a[i], b[i]);
    }
    return a.size() < b.size();
  }
  throw Failure(fmt::format("'<' not supported between instances of '{}' and '{}'",
                            left.type_name(), right.type_name()));
}

void require_hashable(const Value& key) {
  if (key.is_list() || key.is_dict())
    throw Failure(fmt::format("unhashable type: '{}'", key.type_name()));
  if (key.is_tuple()) {
    for (const Value& item : key.as_sequence().items) require_hashable(item);
  }
}

}  // namespace rung::text::jinja
