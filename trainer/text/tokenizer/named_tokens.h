// The tokens that a model folder names for a purpose: "bos_token" and the like.
#pragma once

#include <filesystem>
#include <string>

#include "text/tokenizer/json_field.h"

namespace rung::text {

// "" where the folder names none.
struct NamedTokens {
  std::string bos;
  std::string eos;
  std::string pad;
  std::string unk;
};

// The name in "<s>" or {"content": "<s>", ...}; "" for null.
std::string read_token_name(const JsonField& field);

// From the tokenizer_config.json `path`, which may be absent.
NamedTokens read_named_tokens(const std::filesystem::path& path);

}  // namespace rung::text
