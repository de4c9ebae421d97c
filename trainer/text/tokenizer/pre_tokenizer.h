// Pre-tokenizers: how the normalized text is cut before the model sees it.
//
// ByteLevel, Split, Digits, Sequence, Metaspace, Whitespace, WhitespaceSplit, Punctuation. Others
// are refused: BertPreTokenizer, CharDelimiterSplit, UnicodeScripts, FixedLength.
#pragma once

#include <memory>

#include "text/tokenizer/json_field.h"
#include "text/tokenizer/working_text.h"

namespace rung::text {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(WorkingText& text) const = 0;
};

// How ByteLevel hands over: as text in the byte alphabet, or - where nothing but the model follows
// - as the bytes themselves, which is much faster.
enum class ByteSymbols { kSpelled, kRaw };

// null for a null field.
std::unique_ptr<PreTokenizer> read_pre_tokenizer(const JsonField& field,
                                                 ByteSymbols symbols = ByteSymbols::kRaw);

}  // namespace rung::text
