// The text on its way through the pipeline: its current form, the pieces it is cut into, and which
// bytes of the caller's text every byte came from.
//
// As long as no stage changed anything, the working text is the caller's own bytes and no
// alignment is kept. A byte of a multi-byte character stands for the whole character.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/unicode.h"

namespace rung::text {

// Bytes [begin, end) of the caller's text.
struct Source {
  int32_t begin = 0;
  int32_t end = 0;
};

// Text with the source of each of its bytes; sources.size() == text.size().
struct AlignedText {
  std::string text;
  std::vector<Source> sources;

  // Throws Error kConfig beyond 256 MiB: replacements of a tokenizer file could grow without end.
  void append(std::string_view bytes, Source source);
};

constexpr int32_t kNoToken = -1;

// Bytes [begin, end) of the working text. token is the added token found there, or kNoToken where
// the text is still to be tokenized.
struct Piece {
  int32_t begin = 0;
  int32_t end = 0;
  int32_t token = kNoToken;
};

class WorkingText {
 public:
  // One piece of all of `original`: valid UTF-8 below 2 GiB that outlives this.
  explicit WorkingText(std::string_view original);

  const std::vector<Piece>& pieces() const { return pieces_; }
  std::string_view text(const Piece& piece) const {
    return view().substr(static_cast<size_t>(piece.begin),
                         static_cast<size_t>(piece.end - piece.begin));
  }

  // The source of working bytes [begin, end), begin < end.
  Source source(int32_t begin, int32_t end) const;

  // Cuts every piece that has no token. `cut` appends the parts of one piece, offsets relative to
  // it; what it leaves out is dropped, as are empty parts.
  using Cut = std::function<void(std::string_view piece, std::vector<Piece>& parts)>;
  void split(const Cut& cut);

  // Replaces every piece that has no token by what `change` makes of it, in place. Nothing is
  // copied where `applies` is false for all of them.
  using Applies = std::function<bool(const Piece& piece)>;
  using Change = std::function<void(AlignedText& piece)>;
  void rewrite(const Applies& applies, const Change& change);

  // A copy of `piece` with its sources.
  AlignedText extract(const Piece& piece) const;

  // Set by the last stage where bytes of the text, not characters, are the model's symbols.
  bool bytes_are_symbols = false;

 private:
  std::string_view view() const { return aligned_ ? std::string_view(current_.text) : original_; }

  std::string_view original_;
  AlignedText current_;   // the working text, once a stage changed it
  bool aligned_ = false;  // current_ is in use
  std::vector<Piece> pieces_;
};

}  // namespace rung::text
