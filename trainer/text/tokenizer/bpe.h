// Byte-pair encoding: a piece of text in, its tokens out.
//
// The piece starts as one symbol a character (or byte); the pair of neighbours with the lowest rank
// merges, leftmost first, until none is left. Source: Sennrich et al. 2016 (arXiv 1508.07909), with
// the options of the tokenizer.json format. Dropout is refused.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/json_field.h"
#include "text/tokenizer/pair_table.h"
#include "text/tokenizer/vocabulary.h"

namespace rung::text {

// A token, and how many bytes of the piece it covers.
struct Symbol {
  int32_t id = 0;
  int32_t length = 0;
};

class BpeModel {
 public:
  // Reads the "model" of a tokenizer.json. Throws Error: kConfig for other models and for dropout,
  // kDamaged where merges and vocabulary do not fit together.
  explicit BpeModel(const JsonField& field);

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // The tokens of `piece` (UTF-8, not empty), replacing what `symbols` held. Throws Error kDamaged
  // where the file's unk_token is needed and not in its vocabulary.
  void encode(std::string_view piece, std::vector<Symbol>& symbols) const;

  // What encode() gives for raw bytes spelled in the byte alphabet, without spelling them. False,
  // and nothing done, where a byte has no symbol of its own.
  bool encode_bytes(std::string_view bytes, std::vector<Symbol>& symbols) const;

 private:
  std::string spell_symbol(std::string_view character, bool first, bool last) const;
  bool append_bytes(std::string_view character, std::vector<Symbol>& symbols) const;
  int32_t unknown_id() const;
  void split_characters(std::string_view piece, std::vector<Symbol>& symbols) const;

  std::string where_;
  Vocabulary vocabulary_;
  std::string prefix_;  // of every symbol but a piece's first
  std::string suffix_;  // of a piece's last symbol
  std::optional<std::string> unknown_;
  bool fuse_unknown_;
  bool byte_fallback_;
  bool ignore_merges_;
  PairTable merges_;
  ByteAlphabet alphabet_;
  std::array<int32_t, 256> byte_ids_{};            // of the byte alphabet's characters; -1: none
  std::array<std::optional<int32_t>, 256> bytes_;  // ids of <0x00> ... <0xFF>
};

}  // namespace rung::text
