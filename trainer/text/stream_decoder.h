// Decoding of tokens as they are generated: text comes out as soon as it can no longer change.
//
// push() returns what the new token completes, often nothing: half a character waits for its other
// bytes. All that was returned, in order, equals Tokenizer::decode of all ids, as long as no
// decoder changes text that is complete already (a BPEDecoder before a ByteLevel would).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace rung::text {

class StreamDecoder {
 public:
  // `tokenizer` outlives this.
  StreamDecoder(const Tokenizer& tokenizer, SpecialOutput special)
      : tokenizer_(tokenizer), special_(special) {}

  std::string push(int32_t id);
  // What is still held back, incomplete characters as U+FFFD. Starts over.
  std::string finish();

 private:
  std::string release();

  const Tokenizer& tokenizer_;
  SpecialOutput special_;
  // The last ids whose text was returned, then those held back. Decoders treat the first token
  // of a text differently, so that pending ids are decoded behind their context.
  std::vector<int32_t> ids_;
  size_t num_context_ = 0;
};

}  // namespace rung::text
