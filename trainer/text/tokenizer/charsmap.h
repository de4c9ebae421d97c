// The character map of a SentencePiece model: what its normalizer replaces.
//
//   u32 size of the trie in bytes (little endian) | trie | replacements, each ended by a NUL
//
// The trie is a double array of 32-bit units (darts-clone); a key's value is the offset of its
// replacement. SentencePiece walks it with the bytes of the text and without a look at its bounds,
// so that the map of a stranger is walked here first. Replacing itself is SentencePiece's part.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rung::text {

// Checks that no text can lead a walk out of `map`, nor to more matches at one place than
// SentencePiece has room for. Returns the bytes of the longest replacement. Throws Error kDamaged
// naming `where`.
size_t check_charsmap(std::string_view map, const std::string& where);

}  // namespace rung::text
