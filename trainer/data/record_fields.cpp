#include "data/record_fields.h"

#include <fmt/format.h>

#include "base/error.h"

namespace rung::data {
namespace {

const Json& require_field(const Record& record, const std::string& name) {
  const auto field = record.value.find(name);
  if (field == record.value.end()) {
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("the record has no field \"{}\"", name),
                 .got = list_keys(record.value),
                 .hint = "the data set's type and field names are set under datasets",
                 .where = record.source});
  }
  return *field;
}

[[noreturn]] void refuse_type(const Record& record, const std::string& name, const Json& value,
                              const std::string& expected) {
  throw Error(ExitCode::kConfig,
              {.what = fmt::format("the field \"{}\" is of the wrong type", name),
               .got = value.type_name(),
               .expected = expected,
               .where = record.source});
}

}  // namespace

const std::string& require_text(const Record& record, const std::string& name) {
  const Json& value = require_field(record, name);
  if (!value.is_string()) refuse_type(record, name, value, "a string");
  return value.get_ref<const std::string&>();
}

std::string optional_text(const Record& record, const std::string& name) {
  const auto field = record.value.find(name);
  if (field == record.value.end() || field->is_null()) return "";
  if (!field->is_string()) refuse_type(record, name, *field, "a string");
  return field->get<std::string>();
}

const Json& require_array(const Record& record, const std::string& name) {
  const Json& value = require_field(record, name);
  if (!value.is_array()) refuse_type(record, name, value, "an array");
  return value;
}

std::string list_keys(const Json& object) {
  constexpr size_t kShown = 10;
  if (object.empty()) return "an empty object";
  std::string list;
  size_t shown = 0;
  for (const auto& entry : object.items()) {
    if (shown == kShown) return list + ", ...";
    list += fmt::format("{}\"{}\"", shown == 0 ? "" : ", ", entry.key());
    ++shown;
  }
  return list;
}

std::string dataset_type_name(DatasetType type) {
  switch (type) {
    case DatasetType::kChatTemplate:
      return "chat_template";
    case DatasetType::kAlpaca:
      return "alpaca";
    case DatasetType::kCompletion:
      return "completion";
    case DatasetType::kInputOutput:
      return "input_output";
    case DatasetType::kTokenized:
      return "tokenized";
  }
  return "";
}

}  // namespace rung::data
