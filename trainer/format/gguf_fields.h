// Typed, range-checked access to the keys of a GGUF file.
//
// A key that is absent reads as nothing; a value of the wrong type or outside its range throws
// Error kDamaged naming key, value, what was expected and the file. What is well-formed but not
// supported is thrown by refuse() as kConfig.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf.h"
#include "format/json_fields.h"

namespace rung::format {

class GgufFields {
 public:
  // `file` must outlive this.
  explicit GgufFields(const GgufFile& file) : file_(file) {}

  bool has(std::string_view key) const { return file_.find(key) != nullptr; }
  std::string where() const { return file_.path().string(); }

  std::optional<bool> boolean(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key, IntegerRange range) const;
  int64_t required_integer(std::string_view key, IntegerRange range) const;
  // As integer(), but also an array (one value a layer) that repeats one value; others are refused.
  std::optional<int64_t> uniform_integer(std::string_view key, IntegerRange range) const;
  // A 32-bit float reads as the shortest decimal that rounds to it: 1e-05, not
  // 9.999999747378752e-06.
  std::optional<double> number(std::string_view key, NumberRange range) const;
  std::optional<std::string> text(std::string_view key) const;

  // nullptr where absent.
  const std::vector<std::string>* texts(std::string_view key) const;
  const std::vector<float>* floats(std::string_view key) const;
  // Empty where absent.
  std::vector<int64_t> integers(std::string_view key) const;

  // The key has a value that the format allows and rung does not support.
  [[noreturn]] void refuse(std::string_view key, const std::string& expected,
                           const std::string& hint = "") const;
  // The key is missing or its value is malformed.
  [[noreturn]] void damaged(std::string_view key, const std::string& expected) const;

 private:
  const GgufFile& file_;
};

}  // namespace rung::format
