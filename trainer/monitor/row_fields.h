// The values of one JSON object of a record.
//
// A value is left as it is where its key is absent, of another type, or no sensible one: a reader
// of curves shows what can be read. Numbers of steps, bytes and tokens are whole and from 0 to
// 2^53, so that sums of them and casts to double stand. Texts are cut: a page of them has a bounded
// size.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "base/json.h"
#include "monitor/by_component.h"
#include "monitor/cut_text.h"
#include "monitor/whole.h"

namespace rung::monitor {

class RowFields {
 public:
  static constexpr size_t kMostTextBytes = 2000;
  static constexpr size_t kMostNameBytes = 200;  // of keys that are names: phases, components
  static constexpr size_t kMostNames = 64;       // of one object

  explicit RowFields(const Json& object) : object_(object) {}

  void read(const char* name, int64_t& value) const { value = whole_at(name).value_or(value); }
  void read(const char* name, std::optional<int64_t>& value) const {
    if (const std::optional<int64_t> found = whole_at(name)) value = found;
  }
  void read(const char* name, int& value) const {
    const std::optional<int64_t> found = whole_at(name);
    if (found && *found <= std::numeric_limits<int>::max()) value = static_cast<int>(*found);
  }
  void read(const char* name, double& value) const {
    if (const Json* found = find(name); found && found->is_number()) value = found->get<double>();
  }
  void read(const char* name, bool& value) const {
    if (const Json* found = find(name); found && found->is_boolean()) value = found->get<bool>();
  }
  void read(const char* name, std::string& value, size_t most_bytes = kMostTextBytes) const {
    if (const Json* found = find(name); found && found->is_string()) {
      value = cut_text(found->get_ref<const std::string&>(), most_bytes);
    }
  }
  void read(const char* name, ByComponent& values) const {
    read_named(name, [&](const std::string& key, const Json& value) {
      if (const std::optional<int64_t> bytes = whole_of(value)) values[key] = *bytes;
    });
  }
  void read(const char* name, std::map<std::string, int64_t>& values) const {
    read_named(name, [&](const std::string& key, const Json& value) {
      if (const std::optional<int64_t> bytes = whole_of(value)) values[key] = *bytes;
    });
  }
  void read(const char* name, std::map<std::string, std::string>& values) const {
    read_named(name, [&](const std::string& key, const Json& value) {
      if (value.is_string()) values[key] = cut_text(value.get<std::string>(), kMostNameBytes);
    });
  }
  // An object, or the elements of an array, under `name`; null where there is neither.
  const Json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

 private:
  static std::optional<int64_t> whole_of(const Json& value) {
    if (!value.is_number_integer()) return std::nullopt;
    // A negative one is no unsigned number for the parser, and a huge one is no other.
    if (!value.is_number_unsigned() && value.get<int64_t>() < 0) return std::nullopt;
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(kMostOfARecord)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  std::optional<int64_t> whole_at(const char* name) const {
    const Json* found = find(name);
    return found ? whole_of(*found) : std::nullopt;
  }
  template <typename Take>
  void read_named(const char* name, Take take) const {
    const Json* found = find(name);
    if (!found || !found->is_object()) return;
    size_t count = 0;
    for (const auto& [key, value] : found->items()) {
      if (++count > kMostNames) return;
      take(key.size() > kMostNameBytes ? cut_text(key, kMostNameBytes) : key, value);
    }
  }

  const Json& object_;
};

}  // namespace rung::monitor
