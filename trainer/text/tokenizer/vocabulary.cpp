#include "text/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace rung::text {

Vocabulary::Vocabulary(const JsonField& field) {
  if (!field.json().is_object()) field.fail("an object of token to id");
  int32_t end = 0;
  for (const auto& entry : field.json().get_ref<const Json::object_t&>()) {
    const JsonField id(entry.second, field.where(), entry.first);
    end = std::max(end, id.integer(kMaxTokenId) + 1);
  }
  tokens_.resize(static_cast<size_t>(end));
  present_.resize(static_cast<size_t>(end));
  ids_.reserve(field.json().size());
  for (const auto& entry : field.json().get_ref<const Json::object_t&>()) {
    const auto id = entry.second.get<int32_t>();
    const auto index = static_cast<size_t>(id);
    if (present_[index]) {
      throw Error(ExitCode::kDamaged,
                  {.what = fmt::format("id {} is given to two tokens", id),
                   .got = fmt::format("\"{}\" and \"{}\"", tokens_[index], entry.first),
                   .where = field.where()});
    }
    present_[index] = true;
    tokens_[index] = entry.first;
    ids_.emplace(tokens_[index], id);
  }
}

std::optional<int32_t> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Vocabulary::token(int32_t id) const {
  if (id < 0 || id >= end_id() || !present_[static_cast<size_t>(id)]) return nullptr;
  return &tokens_[static_cast<size_t>(id)];
}

}  // namespace rung::text
