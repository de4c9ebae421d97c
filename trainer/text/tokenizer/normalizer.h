// Normalizers: what happens to the text before it is cut.
//
// NFC, NFD, NFKC, NFKD, Sequence, Lowercase, Replace, Prepend, Strip, ByteLevel. Others are
// refused: Nmt, Precompiled, StripAccents, BertNormalizer (no causal language model uses them).
#pragma once

#include <memory>
#include <string_view>

#include "text/tokenizer/json_field.h"
#include "text/tokenizer/working_text.h"

namespace rung::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // False only where apply() would leave `text` (not empty) as it is.
  virtual bool changes(std::string_view text) const = 0;
  virtual void apply(AlignedText& text) const = 0;
};

// null for a null field.
std::unique_ptr<Normalizer> read_normalizer(const JsonField& field);

// Puts `prefix` before the text, as coming from its first character.
void prepend(std::string_view prefix, AlignedText& text);

}  // namespace rung::text
