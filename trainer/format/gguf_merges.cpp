#include "format/gguf_merges.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "format/gguf_fields.h"

namespace rung::format {

namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

int64_t num_characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(), starts_character);
}

struct ScoredMerge {
  Merge merge;
  float score;
  int64_t left_characters;
  int64_t right_characters;
};

// The splits of one piece, by the ids of their parts: the order that ties keep.
std::vector<ScoredMerge> splits_of(const GgufToken& piece, const GgufVocabulary& vocabulary) {
  std::vector<ScoredMerge> splits;
  for (size_t at = 1; at < piece.text.size(); ++at) {
    if (!starts_character(piece.text[at])) continue;
    Merge merge = {piece.text.substr(0, at), piece.text.substr(at)};
    if (!vocabulary.contains(merge.first) || !vocabulary.contains(merge.second)) continue;
    splits.push_back({.merge = merge,
                      .score = piece.score,
                      .left_characters = num_characters(merge.first),
                      .right_characters = num_characters(merge.second)});
  }
  const auto ids = [&](const ScoredMerge& split) {
    return std::pair(vocabulary.id_of.at(split.merge.first),
                     vocabulary.id_of.at(split.merge.second));
  };
  std::sort(splits.begin(), splits.end(),
            [&](const ScoredMerge& a, const ScoredMerge& b) { return ids(a) < ids(b); });
  return splits;
}

}  // namespace

std::vector<Merge> read_gguf_merges(const GgufFile& file, const GgufVocabulary& vocabulary) {
  const GgufFields fields(file);
  const std::string key = "tokenizer.ggml.merges";
  const std::vector<std::string>* lines = fields.texts(key);
  if (lines == nullptr) fields.damaged(key, "the merges of the byte-pair tokenizer");
  std::vector<Merge> merges;
  merges.reserve(lines->size());
  for (size_t i = 0; i < lines->size(); ++i) {
    const std::string& line = (*lines)[i];
    const size_t space = line.find(' ');
    const bool has_two_parts = space != std::string::npos && space > 0 && space + 1 < line.size() &&
                               line.find(' ', space + 1) == line.npos;
    Merge merge;
    if (has_two_parts) merge = {line.substr(0, space), line.substr(space + 1)};
    if (!has_two_parts || !vocabulary.contains(merge.first) || !vocabulary.contains(merge.second) ||
        !vocabulary.contains(merge.first + merge.second)) {
      throw Error(ExitCode::kDamaged,
                  {.what = fmt::format("merge {} of the tokenizer is wrong", i),
                   .got = line,
                   .expected = "two tokens, a space between, that make a third one",
                   .where = fmt::format("{}, {}", fields.where(), key)});
    }
    merges.push_back(std::move(merge));
  }
  return merges;
}

std::vector<Merge> merges_from_scores(const GgufVocabulary& vocabulary) {
  std::vector<ScoredMerge> scored;
  for (const GgufToken& token : vocabulary.tokens) {
    if (token.kind != TokenKind::kNormal) continue;
    std::vector<ScoredMerge> splits = splits_of(token, vocabulary);
    std::move(splits.begin(), splits.end(), std::back_inserter(scored));
  }
  const auto rank = [](const ScoredMerge& merge) {
    return std::tuple(merge.score, merge.left_characters, merge.right_characters);
  };
  std::stable_sort(scored.begin(), scored.end(),
                   [&](const ScoredMerge& a, const ScoredMerge& b) { return rank(a) > rank(b); });
  std::vector<Merge> merges;
  merges.reserve(scored.size());
  for (ScoredMerge& merge : scored) merges.push_back(std::move(merge.merge));
  return merges;
}

}  // namespace rung::format
