// Binds the arguments of a call to the parameters of a builtin, as Python does.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace rung::text::jinja {

class Parameters {
 public:
  // `names` in order; any may be given by position or by name. Fails on too many, unknown or
  // repeated ones.
  Parameters(std::string_view function, const Arguments& arguments,
             std::initializer_list<std::string_view> names);

  bool given(size_t index) const { return values_[index] != nullptr; }
  // Fails where the argument is not given.
  const Value& required(size_t index) const;
  Value value_or(size_t index, Value otherwise) const;
  bool flag(size_t index, bool otherwise) const;
  // These fail where the argument has another type.
  std::string text(size_t index, std::string otherwise) const;
  int64_t integer(size_t index, int64_t otherwise) const;

 private:
  [[noreturn]] void fail_type(size_t index, std::string_view expected) const;

  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;  // null where not given
};

}  // namespace rung::text::jinja
