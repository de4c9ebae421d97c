// The tokens of a GGUF file: texts, kinds, scores, and the ids with a role.
//
// Source: ggml docs/gguf.md (tokenizer.ggml.*) and llama.cpp llama-vocab.cpp. Every text is checked
// to be UTF-8 and unique: tokenizer.json cannot say otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "format/gguf.h"

namespace rung::format {

enum class TokenKind { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

struct GgufToken {
  std::string text;  // empty for an id that no text has
  TokenKind kind = TokenKind::kNormal;
  float score = 0.0F;  // SentencePiece only
};

struct GgufVocabulary {
  std::vector<GgufToken> tokens;               // by id
  std::unordered_map<std::string, int> id_of;  // by text, without the empty ones
  std::optional<int64_t> bos_id;
  std::optional<int64_t> eos_id;
  std::optional<int64_t> unk_id;
  std::optional<int64_t> pad_id;
  std::vector<std::string> warnings;

  bool contains(const std::string& text) const { return id_of.contains(text); }
};

// `vocab_size` is the number of rows of the embedding.
GgufVocabulary read_gguf_vocabulary(const GgufFile& file, int64_t vocab_size);

}  // namespace rung::format
