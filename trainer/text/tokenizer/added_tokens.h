// Added tokens: strings that are taken out of the text before anything else happens to it.
//
// Found leftmost first, the longest where several start at one place; those with normalized=false
// in the text as given, the others in the normalized text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/json_field.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/vocabulary.h"
#include "text/tokenizer/working_text.h"

namespace rung::text {

struct AddedToken {
  std::string content;
  std::string normal;        // content, as the normalizer leaves it where normalized is set
  bool single_word = false;  // not where a word goes on beside it
  bool lstrip = false;       // takes the white space on its left with it
  bool rstrip = false;
  bool normalized = true;
  bool special = false;
};

// Where the white space before text[end] begins, and where that from text[begin] on ends.
size_t skip_space_left(std::string_view text, size_t end);
size_t skip_space_right(std::string_view text, size_t begin);

// Finds strings in a text: a trie over their bytes.
class StringFinder {
 public:
  // `id` is not negative; a string added again gets the new id.
  void add(std::string_view string, int32_t id);

  struct Found {
    size_t begin = 0;
    size_t end = 0;
    int32_t id = 0;
  };
  // The first of the strings in text[from, ...), the longest of those that start there.
  std::optional<Found> find(std::string_view text, size_t from) const;

 private:
  std::vector<int32_t> ids_ = {-1};                  // of the string that ends at a node; -1: none
  std::unordered_map<uint64_t, uint64_t> children_;  // node << 8 | byte -> node
  std::array<bool, 256> starts_{};                   // bytes that a string starts with
};

class AddedTokens {
 public:
  // Reads "added_tokens". Each takes the id that the vocabulary has for its content, else the next
  // free one in order, whatever id the file writes (Hugging Face's library does so).
  AddedTokens(const JsonField& field, const Vocabulary& vocabulary, const Normalizer* normalizer);

  // null where no added token has the id.
  const AddedToken* token(int32_t id) const;
  std::optional<int32_t> find(std::string_view content) const;
  int32_t end_id() const { return end_id_; }

  // One line for each token whose id in the file is not the one that it got.
  const std::vector<std::string>& notes() const { return notes_; }

  void split_verbatim(WorkingText& text) const { split(verbatim_, text); }
  void split_normalized(WorkingText& text) const { split(normalized_, text); }

 private:
  void split(const StringFinder& finder, WorkingText& text) const;

  std::unordered_map<int32_t, AddedToken> tokens_;  // by id
  std::unordered_map<std::string, int32_t> ids_;
  StringFinder verbatim_;
  StringFinder normalized_;
  int32_t end_id_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace rung::text
