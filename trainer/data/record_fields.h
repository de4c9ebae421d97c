// Access to the fields of one data set record, with messages that name field, file and line.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/run_config.h"

namespace rung::data {

// A parsed record and where it stands.
struct Record {
  Json value;          // an object
  std::string source;  // "file:line"
};

// The text of `name`; throws Error kConfig where it is absent or no string.
const std::string& require_text(const Record& record, const std::string& name);

// The text of `name`, "" where the field is absent or null.
std::string optional_text(const Record& record, const std::string& name);

// The array `name`; throws Error kConfig where it is absent or no array.
const Json& require_array(const Record& record, const std::string& name);

// `"a", "b"`: the keys of an object, for messages (the first ten).
std::string list_keys(const Json& object);

std::string dataset_type_name(DatasetType type);

}  // namespace rung::data
