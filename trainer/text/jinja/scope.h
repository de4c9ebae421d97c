// Variables of a running template.
//
// A scope belongs to the template, to one turn of a loop, or to one run of a macro or block; {% if
// %} has none. Names are looked up from the innermost scope outwards, assigned in the innermost.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace rung::text::jinja {

class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> parent) : parent_(std::move(parent)) {}

  // Null where no scope has the name.
  const Value* find(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_.get()) {
      for (const auto& [present, value] : scope->variables_) {
        if (present == name) return &value;
      }
    }
    return nullptr;
  }

  // `name` must outlive the scope.
  void set(std::string_view name, Value value) {
    for (auto& [present, slot] : variables_) {
      if (present == name) {
        slot = std::move(value);
        return;
      }
    }
    variables_.emplace_back(name, std::move(value));
  }

  void clear() { variables_.clear(); }

 private:
  std::shared_ptr<Scope> parent_;
  std::vector<std::pair<std::string_view, Value>> variables_;
};

}  // namespace rung::text::jinja
