#include "text/tokenizer/byte_level.h"

#include <utility>

#include "text/unicode.h"

namespace rung::text {

ByteAlphabet::ByteAlphabet() {
  bytes_.fill(-1);
  char32_t next_substitute = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    const char32_t code_point = printable ? static_cast<char32_t>(byte) : next_substitute++;
    characters_[static_cast<size_t>(byte)] = to_utf8(code_point);
    bytes_[code_point] = static_cast<int16_t>(byte);
  }
}

std::string ByteAlphabet::spell(std::string_view bytes) const {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) text += character(static_cast<uint8_t>(byte));
  return text;
}

std::optional<std::string> ByteAlphabet::read(std::string_view text) const {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    i += c.length;
    if (c.value >= bytes_.size() || bytes_[c.value] < 0) return std::nullopt;
    bytes += static_cast<char>(bytes_[c.value]);
  }
  return bytes;
}

void ByteAlphabet::spell_in_place(AlignedText& text) const {
  AlignedText spelled;
  for (size_t i = 0; i < text.text.size(); ++i) {
    spelled.append(character(static_cast<uint8_t>(text.text[i])), text.sources[i]);
  }
  text = std::move(spelled);
}

}  // namespace rung::text
