#include "text/tokenizer/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/unicode.h"

namespace rung::text {
namespace {

// Bytes of all added tokens together: the finder takes some 50 bytes for each.
constexpr size_t kMaxAddedBytes = 4 << 20;

AddedToken read_added_token(const JsonField& field, const Normalizer* normalizer) {
  AddedToken token{.content = field["content"].string(),
                   .normal = {},
                   .single_word = field["single_word"].boolean_or(false),
                   .lstrip = field["lstrip"].boolean_or(false),
                   .rstrip = field["rstrip"].boolean_or(false),
                   .normalized = field["normalized"].boolean_or(true),
                   .special = field["special"].boolean_or(false)};
  token.normal = token.content;
  if (token.normalized && normalizer && !token.content.empty()) {
    AlignedText text;
    text.append(token.content, {});
    normalizer->apply(text);
    token.normal = std::move(text.text);
    if (token.normal.empty()) field.refuse("an added token that normalizes to nothing");
  }
  return token;
}

// False where a word goes on at text[begin] or before text[end].
bool stands_alone(std::string_view text, size_t begin, size_t end) {
  return (begin == 0 || !is_word(code_point_before(text, begin).value)) &&
         (end == text.size() || !is_word(code_point_at(text, end).value));
}

Piece piece_of(size_t begin, size_t end, int32_t token) {
  return {static_cast<int32_t>(begin), static_cast<int32_t>(end), token};
}

}  // namespace

size_t skip_space_left(std::string_view text, size_t end) {
  while (end > 0) {
    const CodePoint c = code_point_before(text, end);
    if (!is_white_space(c.value)) break;
    end -= c.length;
  }
  return end;
}

size_t skip_space_right(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const CodePoint c = code_point_at(text, begin);
    if (!is_white_space(c.value)) break;
    begin += c.length;
  }
  return begin;
}

void StringFinder::add(std::string_view string, int32_t id) {
  if (string.empty()) return;
  starts_[static_cast<uint8_t>(string.front())] = true;
  uint64_t node = 0;
  for (const char byte : string) {
    const uint64_t edge = node << 8 | static_cast<uint8_t>(byte);
    const auto [child, inserted] = children_.try_emplace(edge, ids_.size());
    if (inserted) ids_.push_back(-1);
    node = child->second;
  }
  ids_[node] = id;
}

std::optional<StringFinder::Found> StringFinder::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<uint8_t>(text[begin])]) continue;
    std::optional<Found> longest;
    uint64_t node = 0;
    for (size_t i = begin; i < text.size(); ++i) {
      const auto child = children_.find(node << 8 | static_cast<uint8_t>(text[i]));
      if (child == children_.end()) break;
      node = child->second;
      if (ids_[node] >= 0) longest = Found{begin, i + 1, ids_[node]};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

AddedTokens::AddedTokens(const JsonField& field, const Vocabulary& vocabulary,
                         const Normalizer* normalizer)
    : end_id_(vocabulary.end_id()) {
  if (field.is_null()) return;
  int32_t next_id = vocabulary.num_tokens();
  size_t num_bytes = 0;
  for (const JsonField& element : field.elements()) {
    AddedToken token = read_added_token(element, normalizer);
    if (token.content.empty()) continue;
    num_bytes += token.normal.size();
    if (num_bytes > kMaxAddedBytes) field.refuse("more than 4 MiB of added tokens");
    std::optional<int32_t> id = find(token.content);
    if (!id) id = vocabulary.find(token.content);
    if (!id) id = next_id++;
    const int32_t written = element["id"].integer(kMaxTokenId);
    if (written != *id) {
      notes_.push_back(fmt::format("added token \"{}\" has id {}, not {} as {} says", token.content,
                                   *id, written, element.where()));
    }
    end_id_ = std::max(end_id_, *id + 1);
    ids_[token.content] = *id;
    tokens_[*id] = std::move(token);
  }
  for (const auto& [id, token] : tokens_) {
    (token.normalized ? normalized_ : verbatim_).add(token.normal, id);
  }
}

const AddedToken* AddedTokens::token(int32_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second;
}

std::optional<int32_t> AddedTokens::find(std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

void AddedTokens::split(const StringFinder& finder, WorkingText& working) const {
  working.split([&](std::string_view text, std::vector<Piece>& parts) {
    size_t done = 0;    // text before is in a part
    size_t search = 0;  // not always done: white space taken by rstrip may itself be a token
    while (const auto found = finder.find(text, search)) {
      search = found->end;
      const AddedToken& token = tokens_.at(found->id);
      if (token.single_word && !stands_alone(text, found->begin, found->end)) continue;
      size_t begin = found->begin;
      if (token.lstrip) begin = std::min(std::max(skip_space_left(text, begin), done), found->end);
      const size_t end = token.rstrip ? skip_space_right(text, found->end) : found->end;
      if (done < begin) parts.push_back(piece_of(done, begin, kNoToken));
      parts.push_back(piece_of(begin, end, found->id));
      done = end;
    }
    if (done < text.size()) parts.push_back(piece_of(done, text.size(), kNoToken));
  });
}

}  // namespace rung::text
