#include "text/tokenizer/sentencepiece_engine.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/sentencepiece_model.h"
#include "text/tokenizer/sentencepiece_settings.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

using PieceType = SentencePieceModel::PieceType;

constexpr std::string_view kMark = "\u2581";  // a space, in pieces
constexpr size_t kMaxFileBytes = size_t{256} << 20;
constexpr size_t kMaxNormalizedBytes = size_t{1} << 30;  // SentencePiece counts in int

bool consume_mark(std::string_view& text) {
  if (!text.starts_with(kMark)) return false;
  text.remove_prefix(kMark.size());
  return true;
}

// Bytes of byte pieces as text: one U+FFFD for each that is no part of a character.
void append_bytes(std::string_view bytes, std::string& text) {
  while (const auto invalid = find_invalid_utf8(bytes)) {
    text += bytes.substr(0, *invalid);
    text += "\ufffd";
    bytes.remove_prefix(*invalid + 1);
  }
  text += bytes;
}

// Takes the prefix spaces off again where encode may have put them.
struct PrefixSpaces {
  bool at_text_start = false;       // encode puts one there
  bool behind_added_token = false;  // and there
  bool of_every_piece = false;      // SentencePiece drops one of each piece until there is text

  bool expected = at_text_start;

  std::string_view strip(std::string_view piece) {
    if (!expected) return piece;
    consume_mark(piece);
    expected = of_every_piece && piece.empty();
    return piece;
  }
};

class SentencePieceEngine : public TokenizerEngine {
 public:
  SentencePieceEngine(SentencePieceModel model, SentencePieceSettings settings,
                      const std::string& where);

  Encoding encode(std::string_view text, SpecialTokens special) const override;
  std::string decode(std::span<const int32_t> ids, SpecialOutput special) const override;

  bool waits_behind(int32_t id) const override {
    return !added_tokens_.token(id) && is_of_type(id, PieceType::kByte);
  }
  const std::string* token(int32_t id) const override;
  std::optional<int32_t> find(std::string_view token) const override;
  int32_t end_id() const override {
    return std::max(static_cast<int32_t>(model_.pieces.size()), added_tokens_.end_id());
  }
  const NamedTokens& named() const override { return settings_.named; }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  struct PieceToken {
    int32_t id = 0;
    int32_t begin = 0;  // bytes of the text given to SentencePiece
    int32_t end = 0;
  };

  SlowAddedTokens number_tokens(const std::string& where);
  void load(const std::string& where);
  bool is_of_type(int32_t id, PieceType type) const;
  bool is_special(int32_t id) const;
  // The added token, or the control piece, with the text that it stands for.
  bool stands_for_itself(int32_t id) const;

  std::vector<PieceToken> run(std::string_view text) const;
  std::vector<PieceToken> encode_part(std::string_view part) const;
  WorkingText prepare(std::string_view text) const;
  void append_part(const WorkingText& working, const Piece& piece, Encoding& encoding) const;

  SentencePieceModel model_;  // its character map is dropped once SentencePiece has it
  SentencePieceSettings settings_;
  std::unordered_map<std::string_view, int32_t> ids_;  // of pieces; views into model_
  std::unordered_set<int32_t> specials_;               // named ones
  SlowAddedTokens added_tokens_;
  std::vector<int32_t> final_ids_;  // by piece: of the added token of that text, else its own
  sentencepiece::SentencePieceProcessor processor_;
  size_t num_unknown_ = 0;  // tokens of the unknown token's text
  std::vector<std::string> notes_;
};

SentencePieceEngine::SentencePieceEngine(SentencePieceModel model, SentencePieceSettings settings,
                                         const std::string& where)
    : model_(std::move(model)),
      settings_(std::move(settings)),
      ids_([this] {
        std::unordered_map<std::string_view, int32_t> ids;
        ids.reserve(model_.pieces.size());
        for (size_t id = 0; id < model_.pieces.size(); ++id) {
          ids.emplace(model_.pieces[id].text, static_cast<int32_t>(id));
        }
        return ids;
      }()),
      added_tokens_(number_tokens(where)) {
  final_ids_.reserve(model_.pieces.size());
  for (const SentencePieceModel::Piece& piece : model_.pieces) {
    final_ids_.push_back(*find(piece.text));
  }
  load(where);
}

// Added tokens have their ids; named ones that are not among them take the id of their piece, or
// the next one behind all tokens, counted without holes as transformers does.
SlowAddedTokens SentencePieceEngine::number_tokens(const std::string& where) {
  std::vector<NumberedToken> tokens = settings_.added;
  std::unordered_map<std::string_view, int32_t> known;
  auto next_id = static_cast<int32_t>(model_.pieces.size());
  for (const NumberedToken& added : settings_.added) {
    if (known.insert_or_assign(added.token.content, added.id).second &&
        !ids_.contains(added.token.content)) {
      ++next_id;
    }
  }
  for (const AddedToken& special : settings_.specials) {
    if (special.content.empty()) continue;
    auto found = known.find(special.content);
    if (found == known.end()) {
      const auto piece = ids_.find(special.content);
      const int32_t id = piece == ids_.end() ? next_id++ : piece->second;
      tokens.push_back({.id = id, .token = special});
      found = known.emplace(special.content, id).first;
    }
    specials_.insert(found->second);
  }
  return {std::move(tokens), where};
}

void SentencePieceEngine::load(const std::string& where) {
  sentencepiece::SetMinLogLevel(3);  // errors come back as a status, and are said once
  SentencePieceModel seen = model_;
  seen.add_dummy_prefix = model_.add_dummy_prefix && settings_.legacy;
  std::string problem;
  try {
    const auto status = processor_.LoadFromSerializedProto(to_bytes(seen));
    if (!status.ok()) problem = status.error_message();
  } catch (const std::exception& error) {  // its tries throw
    problem = error.what();
  }
  if (!problem.empty()) {
    throw Error(ExitCode::kDamaged,
                {.what = "the SentencePiece model is damaged", .got = problem, .where = where});
  }
  model_.charsmap.clear();
  model_.charsmap.shrink_to_fit();
  if (!settings_.legacy) num_unknown_ = run(settings_.named.unk).size();
}

bool SentencePieceEngine::is_of_type(int32_t id, PieceType type) const {
  return id >= 0 && static_cast<size_t>(id) < model_.pieces.size() &&
         model_.pieces[static_cast<size_t>(id)].type == type;
}

bool SentencePieceEngine::stands_for_itself(int32_t id) const {
  return added_tokens_.token(id) || is_of_type(id, PieceType::kControl) ||
         is_of_type(id, PieceType::kUnknown);
}

bool SentencePieceEngine::is_special(int32_t id) const {
  const AddedToken* added = added_tokens_.token(id);
  return added ? added->special || specials_.contains(id) : stands_for_itself(id);
}

const std::string* SentencePieceEngine::token(int32_t id) const {
  if (const AddedToken* added = added_tokens_.token(id)) return &added->content;
  if (id < 0 || static_cast<size_t>(id) >= model_.pieces.size()) return nullptr;
  return &model_.pieces[static_cast<size_t>(id)].text;
}

std::optional<int32_t> SentencePieceEngine::find(std::string_view token) const {
  if (const auto added = added_tokens_.find(token)) return added;
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<SentencePieceEngine::PieceToken> SentencePieceEngine::run(std::string_view text) const {
  if (text.empty()) return {};
  const size_t growth = std::max(kMark.size(), model_.longest_replacement);
  if (text.size() > kMaxNormalizedBytes / growth) {
    throw Error(ExitCode::kConfig,
                {.what = "the text is too long for a SentencePiece model",
                 .got = fmt::format("{} bytes", text.size()),
                 .expected = fmt::format("at most {} bytes", kMaxNormalizedBytes / growth),
                 .hint = "split the text"});
  }
  sentencepiece::ImmutableSentencePieceText pieces;
  const auto status = processor_.Encode(text, pieces.mutable_proto());
  if (!status.ok()) {
    throw Error(ExitCode::kDamaged, {.what = "the SentencePiece model cannot encode a text",
                                     .got = status.error_message()});
  }
  std::vector<PieceToken> tokens;
  tokens.reserve(pieces.pieces_size());
  for (size_t i = 0; i < pieces.pieces_size(); ++i) {
    const auto piece = pieces.pieces(static_cast<int>(i));
    tokens.push_back({.id = static_cast<int32_t>(piece.id()),
                      .begin = static_cast<int32_t>(piece.begin()),
                      .end = static_cast<int32_t>(piece.end())});
  }
  return tokens;
}

// A part that starts with a space is encoded behind the unknown token's text, whose tokens are
// dropped again: a model may take the white space off the start of what it gets.
std::vector<SentencePieceEngine::PieceToken> SentencePieceEngine::encode_part(
    std::string_view part) const {
  const bool spaced = part.starts_with(kMark) || part.starts_with(' ');
  if (settings_.legacy || !spaced) return run(part);
  const std::string& unknown = settings_.named.unk;
  std::vector<PieceToken> tokens = run(unknown + std::string(part));
  if (tokens.size() >= num_unknown_) {
    tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(num_unknown_));
  }
  const auto shift = static_cast<int32_t>(unknown.size());
  for (PieceToken& token : tokens) {
    token.begin = std::max(0, token.begin - shift);
    token.end = std::max(0, token.end - shift);
  }
  return tokens;
}

WorkingText SentencePieceEngine::prepare(std::string_view text) const {
  WorkingText working(text);
  if (!settings_.legacy) {
    working.rewrite([](const Piece&) { return true; },
                    [&](AlignedText& piece) {
                      AlignedText spaced;
                      for (size_t i = 0; i < piece.text.size();) {
                        const bool mark = std::string_view(piece.text).substr(i).starts_with(kMark);
                        spaced.append(mark ? " " : piece.text.substr(i, 1), piece.sources[i]);
                        i += mark ? kMark.size() : 1;
                      }
                      if (settings_.add_prefix_space) prepend(kMark, spaced);
                      piece = std::move(spaced);
                    });
  }
  added_tokens_.split(working);
  return working;
}

void SentencePieceEngine::append_part(const WorkingText& working, const Piece& piece,
                                      Encoding& encoding) const {
  const std::string_view part = working.text(piece);
  const auto size = static_cast<int32_t>(part.size());
  for (const PieceToken& token : encode_part(part)) {
    // A token without bytes of its own (a prefix space, all but the last byte of a character)
    // stands for the whole character it was made for.
    const int32_t begin = std::min(token.begin, size - 1);
    int32_t end = std::clamp(token.end, begin + 1, size);
    while (end < size && is_continuation_byte(part[static_cast<size_t>(end)])) ++end;
    append_token(final_ids_[static_cast<size_t>(token.id)],
                 working.source(piece.begin + begin, piece.begin + end), encoding);
  }
}

Encoding SentencePieceEngine::encode(std::string_view text, SpecialTokens special) const {
  Encoding encoding;
  const bool adds = special == SpecialTokens::kAdd;
  if (const auto bos = find(settings_.named.bos); adds && settings_.add_bos && bos) {
    append_token(*bos, {}, encoding);
  }
  const auto first = static_cast<std::ptrdiff_t>(encoding.ids.size());
  const WorkingText working = prepare(text);
  for (const Piece& piece : working.pieces()) {
    if (piece.token != kNoToken) {
      append_token(piece.token, working.source(piece.begin, piece.end), encoding);
    } else {
      append_part(working, piece, encoding);
    }
  }
  // No prefix space before a special token.
  if (!settings_.legacy && std::ssize(encoding.ids) > first + 1 &&
      *token(encoding.ids[static_cast<size_t>(first)]) == kMark &&
      specials_.contains(encoding.ids[static_cast<size_t>(first) + 1])) {
    encoding.ids.erase(encoding.ids.begin() + first);
    encoding.begins.erase(encoding.begins.begin() + first);
    encoding.ends.erase(encoding.ends.begin() + first);
  }
  if (const auto eos = find(settings_.named.eos); adds && settings_.add_eos && eos) {
    append_token(*eos, {}, encoding);
  }
  return encoding;
}

std::string SentencePieceEngine::decode(std::span<const int32_t> ids, SpecialOutput special) const {
  const bool legacy_prefix = settings_.legacy && model_.add_dummy_prefix;
  PrefixSpaces spaces{.at_text_start = legacy_prefix || model_.remove_extra_whitespaces ||
                                       (!settings_.legacy && settings_.add_prefix_space),
                      .behind_added_token = legacy_prefix || model_.remove_extra_whitespaces,
                      .of_every_piece = model_.remove_extra_whitespaces};
  std::string text;
  std::string bytes;
  for (const int32_t id : ids) {
    const std::string* entry = token(id);
    if (!entry || (special == SpecialOutput::kSkip && is_special(id))) continue;
    if (waits_behind(id)) {
      int byte = 0;  // of "<0x0A>"
      std::from_chars(entry->data() + 3, entry->data() + 5, byte, 16);
      bytes += static_cast<char>(byte);
      spaces.expected = false;
      continue;
    }
    append_bytes(std::exchange(bytes, {}), text);
    if (stands_for_itself(id)) {
      text += *entry;
      spaces.expected = spaces.behind_added_token;
      continue;
    }
    std::string_view piece = spaces.strip(*entry);
    while (!piece.empty()) {
      const size_t mark = std::min(piece.find(kMark), piece.size());
      text += piece.substr(0, mark);
      piece.remove_prefix(mark);
      if (consume_mark(piece)) text += ' ';
    }
  }
  append_bytes(bytes, text);
  return text;
}

}  // namespace

std::unique_ptr<TokenizerEngine> load_sentencepiece(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "tokenizer.model";
  return std::make_unique<SentencePieceEngine>(
      read_sentencepiece_model(read_text_file(path, kMaxFileBytes), path.string()),
      read_sentencepiece_settings(model_dir), path.string());
}

}  // namespace rung::text
