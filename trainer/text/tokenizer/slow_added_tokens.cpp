#include "text/tokenizer/slow_added_tokens.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace rung::text {
namespace {

// Bytes of all added tokens together: the finder takes some 50 bytes for each.
constexpr size_t kMaxAddedBytes = 4 << 20;

Piece piece_of(size_t begin, size_t end, int32_t token) {
  return {static_cast<int32_t>(begin), static_cast<int32_t>(end), token};
}

bool is_empty(const Piece& piece) { return piece.begin >= piece.end; }

}  // namespace

SlowAddedTokens::SlowAddedTokens(std::vector<NumberedToken> tokens, const std::string& where) {
  size_t num_bytes = 0;
  for (NumberedToken& numbered : tokens) {
    const std::string& content = numbered.token.content;
    if (content.empty()) continue;
    num_bytes += content.size();
    if (num_bytes > kMaxAddedBytes) {
      throw Error(ExitCode::kConfig,
                  {.what = "more than 4 MiB of added tokens is not supported", .where = where});
    }
    end_id_ = std::max(end_id_, numbered.id + 1);
    ids_[content] = numbered.id;
    finder_.add(content, numbered.id);
    tokens_[numbered.id] = std::move(numbered.token);
  }
}

const AddedToken* SlowAddedTokens::token(int32_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second;
}

std::optional<int32_t> SlowAddedTokens::find(std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::vector<Piece> SlowAddedTokens::cut(std::string_view text) const {
  std::vector<Piece> pieces;
  size_t done = 0;
  while (const auto found = finder_.find(text, done)) {
    if (done < found->begin) pieces.push_back(piece_of(done, found->begin, kNoToken));
    pieces.push_back(piece_of(found->begin, found->end, found->id));
    done = found->end;
  }
  if (done < text.size()) pieces.push_back(piece_of(done, text.size(), kNoToken));
  return pieces;
}

void SlowAddedTokens::settle(std::string_view text, std::vector<Piece>& pieces) const {
  const auto shorten = [](Piece& piece, size_t begin, size_t end) {
    if (piece.begin == static_cast<int32_t>(begin) && piece.end == static_cast<int32_t>(end))
      return;
    piece = piece_of(begin, end, kNoToken);
  };
  for (size_t i = 0; i < pieces.size(); ++i) {
    Piece& piece = pieces[i];
    if (piece.token == kNoToken) continue;
    const AddedToken& token = tokens_.at(piece.token);
    Piece* left = i > 0 && !is_empty(pieces[i - 1]) ? &pieces[i - 1] : nullptr;
    Piece* right = i + 1 < pieces.size() && !is_empty(pieces[i + 1]) ? &pieces[i + 1] : nullptr;
    if (token.single_word) {
      if (left && text[static_cast<size_t>(left->end) - 1] != ' ') {
        *left = {left->begin, piece.end, kNoToken};
        piece = {piece.end, piece.end, kNoToken};
        continue;
      }
      if (right && text[static_cast<size_t>(right->begin)] != ' ') {
        *right = {piece.begin, right->end, kNoToken};
        piece = {piece.begin, piece.begin, kNoToken};
        continue;
      }
    }
    if (token.rstrip && right) {
      const auto end = static_cast<size_t>(right->end);
      const size_t begin = std::min(skip_space_right(text, static_cast<size_t>(right->begin)), end);
      piece.end = static_cast<int32_t>(begin);
      shorten(*right, begin, end);
    }
    if (token.lstrip && left) {
      const auto begin = static_cast<size_t>(left->begin);
      const size_t end = std::max(skip_space_left(text, static_cast<size_t>(left->end)), begin);
      piece.begin = static_cast<int32_t>(end);
      shorten(*left, begin, end);
    }
  }
}

void SlowAddedTokens::split(WorkingText& working) const {
  working.split([&](std::string_view text, std::vector<Piece>& parts) {
    std::vector<Piece> pieces = cut(text);
    settle(text, pieces);
    parts.insert(parts.end(), pieces.begin(), pieces.end());
  });
}

}  // namespace rung::text
