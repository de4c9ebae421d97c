// Typed reads of a tokenizer.json part, with errors that name the file and the path of the field.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace rung::text {

// A value of the file and where it stands: "pre_tokenizer.pretokenizers[1].behavior". Views into a
// Json that outlives it.
class JsonField {
 public:
  JsonField(const Json& value, std::string file, std::string path = {})
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

  const Json& json() const { return *value_; }
  bool is_null() const { return value_->is_null(); }

  // Fields of an object. An absent one reads as null.
  JsonField operator[](const std::string& key) const;
  // Elements of an array; kDamaged where this is none.
  std::vector<JsonField> elements() const;

  // The value as a type; kDamaged naming the field where it is another or null.
  const std::string& string() const;
  bool boolean() const;
  // 0 <= value <= limit.
  int32_t integer(int32_t limit) const;
  // A string of exactly one character.
  char32_t character() const;

  // As above, `fallback` where the field is absent or null.
  bool boolean_or(bool fallback) const;
  std::string string_or(std::string fallback) const;

  // The "type" of a part.
  const std::string& type() const { return (*this)["type"].string(); }

  // "tokenizer.json: decoder.content"
  std::string where() const;

  // Throw: kDamaged "expected ..., got <type>", and kConfig "... is not supported" naming `what`.
  [[noreturn]] void fail(const std::string& expected) const;
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  const Json* value_;
  std::string file_;
  std::string path_;
};

// Ids above this are taken as damage: they size tables. The largest vocabularies have 300 thousand.
constexpr int32_t kMaxTokenId = (1 << 21) - 1;

}  // namespace rung::text
