#include "text/jinja/parameters.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/failure.h"

namespace rung::text::jinja {

Parameters::Parameters(std::string_view function, const Arguments& arguments,
                       std::initializer_list<std::string_view> names)
    : function_(function), names_(names), values_(names.size(), nullptr) {
  if (arguments.positional.size() > names_.size()) {
    throw Failure(fmt::format("{}() takes at most {} argument(s), got {}", function_, names_.size(),
                              arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end())
      throw Failure(fmt::format("{}() got an unexpected keyword argument '{}'", function_, name));
    const Value*& slot = values_[static_cast<size_t>(found - names_.begin())];
    if (slot != nullptr)
      throw Failure(fmt::format("{}() got multiple values for argument '{}'", function_, name));
    slot = &value;
  }
}

const Value& Parameters::required(size_t index) const {
  if (values_[index] == nullptr)
    throw Failure(fmt::format("{}() needs the argument '{}'", function_, names_[index]));
  return *values_[index];
}

Value Parameters::value_or(size_t index, Value otherwise) const {
  return values_[index] != nullptr ? *values_[index] : std::move(otherwise);
}

bool Parameters::flag(size_t index, bool otherwise) const {
  return values_[index] != nullptr ? values_[index]->truthy() : otherwise;
}

std::string Parameters::text(size_t index, std::string otherwise) const {
  if (values_[index] == nullptr) return otherwise;
  if (!values_[index]->is_text()) fail_type(index, "str");
  return values_[index]->bytes();
}

int64_t Parameters::integer(size_t index, int64_t otherwise) const {
  if (values_[index] == nullptr) return otherwise;
  if (!values_[index]->is_integral()) fail_type(index, "int");
  return values_[index]->as_integral();
}

void Parameters::fail_type(size_t index, std::string_view expected) const {
  values_[index]->require_defined();
  throw Failure(fmt::format("{}() argument '{}' must be {}, not {}", function_, names_[index],
                            expected, values_[index]->type_name()));
}

}  // namespace rung::text::jinja
