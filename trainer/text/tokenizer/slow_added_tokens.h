// Added tokens as transformers' slow (Python) tokenizers treat them, which is not quite how those
// of a tokenizer.json are (added_tokens.h).
//
// They have the ids that the files give them. The text is cut at all of them first, leftmost and
// longest, normalized or not. Then, from left to right, a token with lstrip or rstrip takes the
// white space off its neighbour, be that text or a token; and one with single_word that has
// something else than a space beside it becomes part of that neighbour, which is text from then on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/added_tokens.h"

namespace rung::text {

struct NumberedToken {
  int32_t id = 0;
  AddedToken token;
};

class SlowAddedTokens {
 public:
  // Of an id or a content given twice the last counts. Empty ones are left out. Throws Error
  // kConfig naming `where` for more than 4 MiB of them.
  SlowAddedTokens(std::vector<NumberedToken> tokens, const std::string& where);

  // null where no added token has the id.
  const AddedToken* token(int32_t id) const;
  std::optional<int32_t> find(std::string_view content) const;
  int32_t end_id() const { return end_id_; }  // largest id + 1

  void split(WorkingText& text) const;

 private:
  std::vector<Piece> cut(std::string_view text) const;
  void settle(std::string_view text, std::vector<Piece>& pieces) const;

  std::unordered_map<int32_t, AddedToken> tokens_;  // by id
  std::unordered_map<std::string, int32_t> ids_;
  StringFinder finder_;
  int32_t end_id_ = 0;
};

}  // namespace rung::text
