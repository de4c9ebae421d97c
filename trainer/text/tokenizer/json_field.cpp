#include "text/tokenizer/json_field.h"

#include <fmt/format.h>

#include "base/error.h"
#include "text/unicode.h"

namespace rung::text {

JsonField JsonField::operator[](const std::string& key) const {
  static const Json absent = nullptr;
  if (!value_->is_object()) fail("an object");
  const auto found = value_->find(key);
  const std::string path = path_.empty() ? key : path_ + "." + key;
  return {found == value_->end() ? absent : *found, file_, path};
}

std::vector<JsonField> JsonField::elements() const {
  if (!value_->is_array()) fail("an array");
  std::vector<JsonField> fields;
  fields.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) {
    fields.emplace_back((*value_)[i], file_, fmt::format("{}[{}]", path_, i));
  }
  return fields;
}

const std::string& JsonField::string() const {
  if (!value_->is_string()) fail("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonField::boolean() const {
  if (!value_->is_boolean()) fail("true or false");
  return value_->get<bool>();
}

int32_t JsonField::integer(int32_t limit) const {
  const std::string expected = fmt::format("an integer in 0..{}", limit);
  if (!value_->is_number_unsigned()) fail(expected);
  const auto value = value_->get<uint64_t>();
  if (value > static_cast<uint64_t>(limit)) fail(expected);
  return static_cast<int32_t>(value);
}

char32_t JsonField::character() const {
  const std::string& text = string();
  if (text.empty() || code_point_at(text, 0).length != text.size()) fail("one character");
  return code_point_at(text, 0).value;
}

bool JsonField::boolean_or(bool fallback) const { return is_null() ? fallback : boolean(); }

std::string JsonField::string_or(std::string fallback) const {
  return is_null() ? std::move(fallback) : string();
}

std::string JsonField::where() const {
  return path_.empty() ? file_ : fmt::format("{}: {}", file_, path_);
}

void JsonField::fail(const std::string& expected) const {
  std::string got = value_->is_structured() ? value_->type_name() : value_->dump();
  if (got.size() > 80) got = got.substr(0, 80) + "...";
  throw Error(ExitCode::kDamaged, {.what = path_.empty() ? "the tokenizer" : path_,
                                   .got = got,
                                   .expected = expected,
                                   .where = file_});
}

void JsonField::refuse(const std::string& what) const {
  throw Error(ExitCode::kConfig, {.what = what + " is not supported", .where = where()});
}

}  // namespace rung::text
