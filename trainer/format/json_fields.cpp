#include "format/json_fields.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/error.h"

namespace rung::format {

namespace {

// The value for a message, on one line and not longer than a message should be.
std::string shown(const Json* value) {
  if (value == nullptr) return "nothing";
  const std::string text = value->dump(-1, ' ', false, Json::error_handler_t::replace);
  constexpr size_t kShown = 80;
  return text.size() <= kShown ? text : text.substr(0, kShown) + "...";
}

}  // namespace

JsonFields::JsonFields(const Json& object, std::string where)
    : object_(&object), where_(std::move(where)) {
  if (object.is_object()) return;
  throw Error(ExitCode::kDamaged, {.what = "the JSON value has the wrong form",
                                   .got = shown(&object),
                                   .expected = "an object",
                                   .where = where_});
}

const Json* JsonFields::find(std::string_view key) const {
  const auto entry = object_->find(std::string(key));
  return entry == object_->end() || entry->is_null() ? nullptr : &*entry;
}

bool JsonFields::contains(std::string_view key) const {
  return object_->contains(std::string(key));
}

std::optional<bool> JsonFields::boolean(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) damaged(key, "true or false");
  return value->get<bool>();
}

std::optional<int64_t> JsonFields::integer(std::string_view key, IntegerRange range) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number_unsigned()
                        ? value->get<uint64_t>() <= static_cast<uint64_t>(range.max)
                        : value->is_number_integer();
  if (!fits || value->get<int64_t>() < range.min || value->get<int64_t>() > range.max) {
    damaged(key, fmt::format("an integer in {}..{}", range.min, range.max));
  }
  return value->get<int64_t>();
}

std::optional<double> JsonFields::number(std::string_view key, NumberRange range) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!(number > range.above && number <= range.max)) {
    damaged(key, fmt::format("a number above {} and at most {}", range.above, range.max));
  }
  return number;
}

std::optional<std::string> JsonFields::text(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) damaged(key, "a string");
  return value->get<std::string>();
}

std::vector<std::string> JsonFields::texts(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) damaged(key, "a list of strings");
  std::vector<std::string> result;
  for (const Json& item : *value) {
    if (!item.is_string()) damaged(key, "a list of strings");
    result.push_back(item.get<std::string>());
  }
  return result;
}

std::optional<JsonFields> JsonFields::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) damaged(key, "an object");
  return JsonFields(*value, where_);
}

void JsonFields::refuse(std::string_view key, const std::string& expected,
                        const std::string& hint) const {
  throw Error(ExitCode::kConfig, {.what = fmt::format("'{}' is not supported", key),
                                  .got = shown(find(key)),
                                  .expected = expected,
                                  .hint = hint,
                                  .where = where_});
}

void JsonFields::damaged(std::string_view key, const std::string& expected) const {
  throw Error(ExitCode::kDamaged, {.what = fmt::format("'{}' is missing or malformed", key),
                                   .got = shown(find(key)),
                                   .expected = expected,
                                   .where = where_});
}

}  // namespace rung::format
