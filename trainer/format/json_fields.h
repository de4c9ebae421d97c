// Typed, range-checked access to the keys of one JSON object of an untrusted file.
//
// A key that is absent or null reads as nothing; a value of the wrong type or outside its range
// throws Error kDamaged naming key, value, what was expected and the file. What is well-formed but
// not supported is thrown by refuse() as kConfig.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace rung::format {

struct IntegerRange {
  int64_t min = 0;
  int64_t max = std::numeric_limits<int64_t>::max();
};

// Open at the lower end: most numbers of a model divide something.
struct NumberRange {
  double above = 0.0;
  double max = 1e12;
};

class JsonFields {
 public:
  // `object` must outlive this. Throws where it is no object.
  JsonFields(const Json& object, std::string where);

  const std::string& where() const { return where_; }
  const Json* find(std::string_view key) const;  // nullptr where absent or null
  bool has(std::string_view key) const { return find(key) != nullptr; }
  bool contains(std::string_view key) const;  // true for null as well

  std::optional<bool> boolean(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key, IntegerRange range) const;
  std::optional<double> number(std::string_view key, NumberRange range) const;
  std::optional<std::string> text(std::string_view key) const;
  std::vector<std::string> texts(std::string_view key) const;  // empty where absent
  std::optional<JsonFields> object(std::string_view key) const;

  // The key has a value that the format allows and rung does not support.
  [[noreturn]] void refuse(std::string_view key, const std::string& expected,
                           const std::string& hint = "") const;
  // The key is missing or its value is malformed.
  [[noreturn]] void damaged(std::string_view key, const std::string& expected) const;

 private:
  const Json* object_;
  std::string where_;
};

}  // namespace rung::format
