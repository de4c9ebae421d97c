// tokenizer.json and tokenizer_config.json from the tokenizer.* keys of a GGUF file.
//
// Two kinds: "gpt2" (byte-level BPE; tokenizer.ggml.pre names the splitting) and "llama"
// (SentencePiece BPE with byte fallback, in the form transformers gives it); others are refused by
// name. Control and user-defined tokens become added tokens. Source of the keys: ggml docs/gguf.md;
// of the form: huggingface/tokenizers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "format/gguf.h"

namespace rung::format {

struct GgufTokenizer {
  Json tokenizer;         // tokenizer.json
  Json tokenizer_config;  // tokenizer_config.json; holds the chat template too
  Json pad_token_id;      // null where there is none
  int64_t num_tokens = 0;
  std::vector<std::string> warnings;
};

struct TokenizerSource {
  const GgufFile& file;
  int64_t vocab_size = 0;  // rows of the embedding
  int64_t max_length = 0;  // of a text, in tokens
};

GgufTokenizer read_gguf_tokenizer(const TokenizerSource& source);

}  // namespace rung::format
