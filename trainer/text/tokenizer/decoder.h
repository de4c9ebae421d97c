// Decoders: from tokens back to text.
//
// ByteLevel, Metaspace, Replace, Fuse, Strip, ByteFallback, BPEDecoder, Sequence; without a decoder
// tokens are joined with spaces. WordPiece and CTC are refused.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer/json_field.h"

namespace rung::text {

class Decoder {
 public:
  explicit Decoder(const JsonField& field);

  std::string decode(std::vector<std::string> tokens) const;

  // True where the text of `token` depends on the tokens behind it: bytes of one character, each
  // its own token, become text as a whole run.
  bool waits_behind(std::string_view token) const;

 private:
  using Step = std::function<void(std::vector<std::string>&)>;
  void read(const JsonField& field);

  std::vector<Step> steps_;
  bool joins_ = false;  // no decoder in the file
  bool byte_fallback_ = false;
};

}  // namespace rung::text
