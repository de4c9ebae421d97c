// The file tokenizer.model: a SentencePiece ModelProto, in protobuf's wire format.
//
//   1 pieces (repeated): 1 piece, 2 score (fixed32), 3 type
//   2 trainer_spec: 3 model_type, 24 treat_whitespace_as_suffix, 35 byte_fallback
//   3 normalizer_spec, 5 denormalizer_spec: 2 precompiled_charsmap, 3 add_dummy_prefix,
//     4 remove_extra_whitespaces, 5 escape_whitespaces
//
// Source: sentencepiece_model.proto of google/sentencepiece. Other fields speak of how the model
// was trained and are passed over. The file is read here rather than by SentencePiece, which gets
// what to_bytes() writes: it sees nothing but what has been checked.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rung::text {

struct SentencePieceModel {
  enum class Type { kUnigram = 1, kBpe = 2 };
  enum class PieceType {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6,
  };
  struct Piece {
    std::string text;  // valid UTF-8 without NUL, not empty, unlike all others
    float score = 0.0F;
    PieceType type = PieceType::kNormal;
  };

  std::vector<Piece> pieces;  // by id
  Type type = Type::kUnigram;
  bool byte_fallback = false;
  std::string charsmap;  // tokenizer/charsmap.h; empty where nothing is replaced
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  size_t longest_replacement = 0;  // bytes that one character may become in `charsmap`
};

// `where` names the file in errors. Throws Error: kDamaged where `bytes` are malformed, kConfig
// where they are another kind of file or ask for something not supported.
SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where);

// The model as a ModelProto.
std::string to_bytes(const SentencePieceModel& model);

}  // namespace rung::text
