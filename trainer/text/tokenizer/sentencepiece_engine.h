// Executes a tokenizer.model, as the LlamaTokenizer of transformers 4 does.
//
// encode: the text is cut at added tokens, SentencePiece takes the parts between.
//   legacy      every part gets the prefix space that the model file asks for
//   not legacy  U+2581 in the text becomes a space, the text as a whole gets one prefix space
//   (which
//               goes again before a token like <s>), and the parts get none
// decode inverts that: pieces joined, U+2581 as a space, byte pieces as the characters they make
// up, each byte that is part of none as U+FFFD, and the prefix spaces taken off again. transformers
// differs in spaces around added tokens and, with `legacy`, at the start of the text. Left out as
// special are also tokens that only added_tokens_decoder marks so. What has been decoded never
// changes when more tokens come.
//
// Source of the semantics: huggingface/transformers 4.57 (tokenization_llama.py,
// tokenization_utils.py), google/sentencepiece 0.2.1. Sampling and n-best are not used.
#pragma once

#include <filesystem>
#include <memory>

#include "text/tokenizer/engine.h"

namespace rung::text {

// Reads tokenizer.model of `model_dir` and the settings beside it. Errors are those of
// Tokenizer::load.
std::unique_ptr<TokenizerEngine> load_sentencepiece(const std::filesystem::path& model_dir);

}  // namespace rung::text
