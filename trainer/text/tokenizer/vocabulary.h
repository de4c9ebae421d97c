// The model's tokens and their ids. Ids may have holes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/json_field.h"

namespace rung::text {

class Vocabulary {
 public:
  // An object of token to id. Throws Error kDamaged for ids out of range or given twice.
  explicit Vocabulary(const JsonField& field);

  Vocabulary(const Vocabulary&) = delete;  // ids_ views into tokens_
  Vocabulary& operator=(const Vocabulary&) = delete;

  std::optional<int32_t> find(std::string_view token) const;
  // Absent for ids without a token.
  const std::string* token(int32_t id) const;

  int32_t num_tokens() const { return static_cast<int32_t>(ids_.size()); }
  int32_t end_id() const { return static_cast<int32_t>(tokens_.size()); }  // largest id + 1

 private:
  std::vector<std::string> tokens_;  // by id
  std::vector<bool> present_;        // by id
  std::unordered_map<std::string_view, int32_t> ids_;
};

}  // namespace rung::text
