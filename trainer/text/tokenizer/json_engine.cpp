#include "text/tokenizer/json_engine.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/working_text.h"

namespace rung::text {
namespace {

void check_version(const JsonField& version) {
  if (!version.is_null() && version.string() != "1.0") version.fail("\"1.0\"");
}

class JsonEngine : public TokenizerEngine {
 public:
  JsonEngine(const JsonField& file, NamedTokens named)
      : model_(file["model"]),
        normalizer_(read_normalizer(file["normalizer"])),
        added_tokens_(file["added_tokens"], model_.vocabulary(), normalizer_.get()),
        pre_tokenizer_(read_pre_tokenizer(file["pre_tokenizer"])),
        post_processor_(file["post_processor"]),
        decoder_(file["decoder"]),
        named_(std::move(named)) {
    check_version(file["version"]);
  }

  Encoding encode(std::string_view text, SpecialTokens special) const override;
  std::string decode(std::span<const int32_t> ids, SpecialOutput special) const override;

  bool waits_behind(int32_t id) const override {
    const std::string* entry = token(id);
    return entry && decoder_.waits_behind(*entry);
  }

  // The vocabulary entry, the normalized form of an added token.
  const std::string* token(int32_t id) const override {
    const AddedToken* added = added_tokens_.token(id);
    return added ? &added->normal : model_.vocabulary().token(id);
  }

  std::optional<int32_t> find(std::string_view token) const override {
    const std::optional<int32_t> added = added_tokens_.find(token);
    return added ? added : model_.vocabulary().find(token);
  }

  int32_t end_id() const override { return added_tokens_.end_id(); }
  const NamedTokens& named() const override { return named_; }
  const std::vector<std::string>& notes() const override { return added_tokens_.notes(); }

 private:
  // Special by content: a token that normalizes to something else is printed, as Hugging Face's
  // library does.
  bool is_special(int32_t id) const {
    const AddedToken* added = added_tokens_.token(id);
    return added && added->special && added->normal == added->content;
  }

  WorkingText prepare(std::string_view text) const;
  Encoding tokenize(const WorkingText& text) const;

  BpeModel model_;
  std::unique_ptr<Normalizer> normalizer_;  // may be null
  AddedTokens added_tokens_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;  // may be null
  PostProcessor post_processor_;
  Decoder decoder_;
  ByteAlphabet alphabet_;
  NamedTokens named_;
};

WorkingText JsonEngine::prepare(std::string_view text) const {
  WorkingText working(text);
  added_tokens_.split_verbatim(working);
  if (normalizer_) {
    working.rewrite([&](const Piece& piece) { return normalizer_->changes(working.text(piece)); },
                    [&](AlignedText& piece) { normalizer_->apply(piece); });
  }
  added_tokens_.split_normalized(working);
  if (pre_tokenizer_) pre_tokenizer_->apply(working);
  return working;
}

// The tokens of one piece of `size` bytes; source_of(begin, end) tells where its bytes came from.
template <typename SourceOf>
void append_symbols(const std::vector<Symbol>& symbols, int32_t size, const SourceOf& source_of,
                    Encoding& encoding) {
  int32_t begin = 0;
  for (const Symbol& symbol : symbols) {
    // The bytes of an end_of_word_suffix may have tokens, but have no place in the piece.
    const int32_t end = std::min(begin + symbol.length, size);
    append_token(symbol.id, source_of(std::min(begin, size - 1), end), encoding);
    begin = end;
  }
}

Encoding JsonEngine::tokenize(const WorkingText& text) const {
  Encoding encoding;
  std::vector<Symbol> symbols;
  for (const Piece& piece : text.pieces()) {
    if (piece.token != kNoToken) {
      append_token(piece.token, text.source(piece.begin, piece.end), encoding);
      continue;
    }
    if (text.bytes_are_symbols && !model_.encode_bytes(text.text(piece), symbols)) {
      AlignedText spelled = text.extract(piece);
      alphabet_.spell_in_place(spelled);
      model_.encode(spelled.text, symbols);
      const auto source_of = [&](int32_t begin, int32_t end) -> Source {
        return {spelled.sources[static_cast<size_t>(begin)].begin,
                spelled.sources[static_cast<size_t>(end) - 1].end};
      };
      append_symbols(symbols, static_cast<int32_t>(spelled.text.size()), source_of, encoding);
      continue;
    }
    if (!text.bytes_are_symbols) model_.encode(text.text(piece), symbols);
    const auto source_of = [&](int32_t begin, int32_t end) {
      return text.source(piece.begin + begin, piece.begin + end);
    };
    append_symbols(symbols, piece.end - piece.begin, source_of, encoding);
  }
  return encoding;
}

Encoding JsonEngine::encode(std::string_view text, SpecialTokens special) const {
  Encoding encoding = tokenize(prepare(text));
  const std::vector<int32_t> ids = encoding.ids;
  const auto token_text = [&](size_t i) -> std::string_view {
    if (!added_tokens_.token(ids[i])) return *model_.vocabulary().token(ids[i]);
    const auto begin = static_cast<size_t>(encoding.begins[i]);
    return text.substr(begin, static_cast<size_t>(encoding.ends[i]) - begin);
  };
  post_processor_.apply({.text = text, .special = special, .token_text = token_text}, encoding);
  return encoding;
}

std::string JsonEngine::decode(std::span<const int32_t> ids, SpecialOutput special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    const std::string* entry = token(id);
    if (!entry || (special == SpecialOutput::kSkip && is_special(id))) continue;
    tokens.push_back(*entry);
  }
  return decoder_.decode(std::move(tokens));
}

}  // namespace

std::unique_ptr<TokenizerEngine> load_tokenizer_json(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "tokenizer.json";
  const Json json = read_json_file(path);
  return std::make_unique<JsonEngine>(JsonField(json, path.string()),
                                      read_named_tokens(model_dir / "tokenizer_config.json"));
}

}  // namespace rung::text
