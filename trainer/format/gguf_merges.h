// The merges of a byte-pair tokenizer, as a GGUF file gives or implies them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "format/gguf.h"
#include "format/gguf_vocabulary.h"

namespace rung::format {

using Merge = std::pair<std::string, std::string>;

// tokenizer.ggml.merges, "left right" each, checked: both parts and their concatenation are tokens.
std::vector<Merge> read_gguf_merges(const GgufFile& file, const GgufVocabulary& vocabulary);

// SentencePiece files have scores instead: the best piece is merged first. Every way to split a
// piece into two becomes a merge, in descending order of (score, characters of the left part, of
// the right part), as transformers' convert_slow_tokenizer.py has it.
std::vector<Merge> merges_from_scores(const GgufVocabulary& vocabulary);

}  // namespace rung::format
