// What stands behind a Tokenizer: one way to execute a model folder's tokenizer.
//
// json_engine.h executes tokenizer.json, sentencepiece_engine.h executes tokenizer.model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/tokenizer/named_tokens.h"
#include "text/tokenizer/working_text.h"

namespace rung::text {

// Appends a token that stands for `source`.
inline void append_token(int32_t id, Source source, Encoding& encoding) {
  encoding.ids.push_back(id);
  encoding.begins.push_back(source.begin);
  encoding.ends.push_back(source.end);
}

class TokenizerEngine {
 public:
  virtual ~TokenizerEngine() = default;

  // `text` is valid UTF-8 below 2 GiB.
  virtual Encoding encode(std::string_view text, SpecialTokens special) const = 0;
  // Ids that do not exist are left out.
  virtual std::string decode(std::span<const int32_t> ids, SpecialOutput special) const = 0;
  virtual bool waits_behind(int32_t id) const = 0;

  // The entry that `id` decodes from; null where there is none.
  virtual const std::string* token(int32_t id) const = 0;
  virtual std::optional<int32_t> find(std::string_view token) const = 0;
  virtual int32_t end_id() const = 0;  // largest id + 1

  virtual const NamedTokens& named() const = 0;
  virtual const std::vector<std::string>& notes() const = 0;
};

}  // namespace rung::text
