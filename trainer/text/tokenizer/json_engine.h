// Executes a tokenizer.json, as the Hugging Face `tokenizers` library does.
//
// Pipeline: split on added tokens -> normalizer -> pre-tokenizer -> BPE -> post-processor. What the
// file asks for and rung does not have is refused by name when it is loaded, never skipped; the two
// exceptions are "truncation" and "padding", which are left to the caller as transformers does.
// Source of the semantics: huggingface/tokenizers.
#pragma once

#include <filesystem>
#include <memory>

#include "text/tokenizer/engine.h"

namespace rung::text {

// Reads tokenizer.json (required) and tokenizer_config.json (optional) of `model_dir`. Errors are
// those of Tokenizer::load.
std::unique_ptr<TokenizerEngine> load_tokenizer_json(const std::filesystem::path& model_dir);

}  // namespace rung::text
