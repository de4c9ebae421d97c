// What lies beside a tokenizer.model and says how it is used, read as transformers 4 does for a
// LlamaTokenizer.
//
// tokenizer_config.json; where that has no added_tokens_decoder, also special_tokens_map.json,
// whose names win, and added_tokens.json. All of them may be absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "text/tokenizer/named_tokens.h"
#include "text/tokenizer/slow_added_tokens.h"

namespace rung::text {

struct SentencePieceSettings {
  // Every text between added tokens gets the model's own prefix space; without `legacy` only the
  // start of a text does.
  bool legacy = true;
  bool add_prefix_space = true;  // without `legacy`
  bool add_bos = true;
  bool add_eos = false;

  NamedTokens named = {.bos = "<s>", .eos = "</s>", .pad = "", .unk = "<unk>"};
  std::vector<NumberedToken> added;

  // Tokens that are named for a purpose, in the order in which those that have no id yet get one:
  // first bos, eos, unk, sep, pad, cls and mask, then additional_special_tokens.
  std::vector<AddedToken> specials;
};

// Throws Error: kDamaged where a file is malformed, kConfig where it asks for something else than
// LlamaTokenizer does.
SentencePieceSettings read_sentencepiece_settings(const std::filesystem::path& model_dir);

}  // namespace rung::text
