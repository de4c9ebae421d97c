// How tokenizer.ggml.pre splits text, as the normalizer and pre_tokenizer of tokenizer.json.
//
// A GGUF file only names the splitting; what a name means is a table in llama.cpp
// (llama-vocab.cpp), written down there from each family's tokenizer.json. Names outside the table
// below are refused: a wrong splitting gives wrong ids in silence.
#pragma once

#include <string>

#include "base/json.h"
#include "format/gguf_fields.h"

namespace rung::format {

struct PreTokenizer {
  Json normalizer;
  Json pre_tokenizer;
  bool ignore_merges = false;  // a piece that is a token as a whole is not merged from its bytes
  bool adds_bos = false;       // where the file does not say
};

// Of a byte-level tokenizer (tokenizer.ggml.model "gpt2").
PreTokenizer read_gguf_pre_tokenizer(const GgufFields& fields);

}  // namespace rung::format
