// GPT-2's byte alphabet: every byte written as one printable character, so that a vocabulary of
// arbitrary bytes is text.
//
// Bytes 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF stand for themselves, the other 68 for U+0100, U+0101,
// ... in order. Source: encoder.py of openai/gpt-2.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/tokenizer/working_text.h"

namespace rung::text {

// GPT-2's pattern, which ByteLevel splits by unless told otherwise.
constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class ByteAlphabet {
 public:
  ByteAlphabet();

  // The UTF-8 text of the character of `byte`.
  const std::string& character(uint8_t byte) const { return characters_[byte]; }
  // The bytes written as `bytes` of text.
  std::string spell(std::string_view bytes) const;
  // The bytes that `text` spells; absent where it has characters outside the alphabet.
  std::optional<std::string> read(std::string_view text) const;
  // Spells each byte, keeping its source.
  void spell_in_place(AlignedText& text) const;

 private:
  std::array<std::string, 256> characters_;
  std::array<int16_t, 0x144> bytes_;  // by code point; -1: not in the alphabet
};

}  // namespace rung::text
