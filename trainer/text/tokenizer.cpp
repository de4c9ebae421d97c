#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/working_text.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

// Names of special tokens in tokenizer_config.json, "" where it has none.
struct NamedTokens {
  std::string bos;
  std::string eos;
  std::string pad;
  std::string unk;
};

// "<s>" or {"content": "<s>", ...}
std::string read_name(const JsonField& field) {
  if (field.is_null()) return "";
  return field.json().is_object() ? field["content"].string() : field.string();
}

NamedTokens read_named_tokens(const std::filesystem::path& path) {
  std::error_code unreadable;  // is reported when the file is read
  if (!std::filesystem::exists(path, unreadable) && !unreadable) return {};
  const Json json = read_json_file(path);
  const JsonField config(json, path.string());
  return {.bos = read_name(config["bos_token"]),
          .eos = read_name(config["eos_token"]),
          .pad = read_name(config["pad_token"]),
          .unk = read_name(config["unk_token"])};
}

void check_version(const JsonField& version) {
  if (!version.is_null() && version.string() != "1.0") version.fail("\"1.0\"");
}

void check_text(std::string_view text) {
  if (text.size() > std::numeric_limits<int32_t>::max()) {
    throw Error(ExitCode::kConfig, {.what = "the text is too long to tokenize",
                                    .got = fmt::format("{} bytes", text.size()),
                                    .expected = "less than 2 GiB"});
  }
  if (const auto invalid = find_invalid_utf8(text)) {
    throw Error(ExitCode::kConfig,
                {.what = "the text is not valid UTF-8",
                 .got = fmt::format("byte 0x{:02x} at offset {}",
                                    static_cast<unsigned char>(text[*invalid]), *invalid)});
  }
}

}  // namespace

struct Tokenizer::Impl {
  Impl(const JsonField& file, NamedTokens named_tokens)
      : model(file["model"]),
        normalizer(read_normalizer(file["normalizer"])),
        added_tokens(file["added_tokens"], model.vocabulary(), normalizer.get()),
        pre_tokenizer(read_pre_tokenizer(file["pre_tokenizer"])),
        post_processor(file["post_processor"]),
        decoder(file["decoder"]),
        named(std::move(named_tokens)) {
    check_version(file["version"]);
  }

  // What `id` decodes from: the vocabulary entry, the normalized form of an added token.
  const std::string* token(int32_t id) const {
    const AddedToken* added = added_tokens.token(id);
    return added ? &added->normal : model.vocabulary().token(id);
  }

  // Special by content: a token that normalizes to something else is printed, as Hugging Face's
  // library does.
  bool is_special(int32_t id) const {
    const AddedToken* added = added_tokens.token(id);
    return added && added->special && added->normal == added->content;
  }

  std::optional<int32_t> find(std::string_view token) const {
    const std::optional<int32_t> added = added_tokens.find(token);
    return added ? added : model.vocabulary().find(token);
  }

  std::optional<int32_t> find_named(const std::string& name) const {
    return name.empty() ? std::nullopt : find(name);
  }

  WorkingText prepare(std::string_view text) const;
  Encoding tokenize(const WorkingText& text) const;

  BpeModel model;
  std::unique_ptr<Normalizer> normalizer;  // may be null
  AddedTokens added_tokens;
  std::unique_ptr<PreTokenizer> pre_tokenizer;  // may be null
  PostProcessor post_processor;
  Decoder decoder;
  ByteAlphabet alphabet;
  NamedTokens named;
};

WorkingText Tokenizer::Impl::prepare(std::string_view text) const {
  WorkingText working(text);
  added_tokens.split_verbatim(working);
  if (normalizer) {
    working.rewrite([&](const Piece& piece) { return normalizer->changes(working.text(piece)); },
                    [&](AlignedText& piece) { normalizer->apply(piece); });
  }
  added_tokens.split_normalized(working);
  if (pre_tokenizer) pre_tokenizer->apply(working);
  return working;
}

namespace {

void append_token(int32_t id, Source source, Encoding& encoding) {
  encoding.ids.push_back(id);
  encoding.begins.push_back(source.begin);
  encoding.ends.push_back(source.end);
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

}  // namespace

Encoding Tokenizer::Impl::tokenize(const WorkingText& text) const {
  Encoding encoding;
  std::vector<Symbol> symbols;
  for (const Piece& piece : text.pieces()) {
    if (piece.token != kNoToken) {
      append_token(piece.token, text.source(piece.begin, piece.end), encoding);
      continue;
    }
    if (text.bytes_are_symbols && !model.encode_bytes(text.text(piece), symbols)) {
      AlignedText spelled = text.extract(piece);
      alphabet.spell_in_place(spelled);
      model.encode(spelled.text, symbols);
      const auto source_of = [&](int32_t begin, int32_t end) -> Source {
        return {spelled.sources[static_cast<size_t>(begin)].begin,
                spelled.sources[static_cast<size_t>(end) - 1].end};
      };
      append_symbols(symbols, static_cast<int32_t>(spelled.text.size()), source_of, encoding);
      continue;
    }
    if (!text.bytes_are_symbols) model.encode(text.text(piece), symbols);
    const auto source_of = [&](int32_t begin, int32_t end) {
      return text.source(piece.begin + begin, piece.begin + end);
    };
    append_symbols(symbols, piece.end - piece.begin, source_of, encoding);
  }
  return encoding;
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "tokenizer.json";
  const Json json = read_json_file(path);
  return Tokenizer(std::make_unique<Impl>(JsonField(json, path.string()),
                                          read_named_tokens(model_dir / "tokenizer_config.json")));
}

Encoding Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  check_text(text);
  const WorkingText working = impl_->prepare(text);
  Encoding encoding = impl_->tokenize(working);
  const std::vector<int32_t> ids = encoding.ids;
  const auto token_text = [&](size_t i) -> std::string_view {
    if (!impl_->added_tokens.token(ids[i])) return *impl_->model.vocabulary().token(ids[i]);
    const auto begin = static_cast<size_t>(encoding.begins[i]);
    return text.substr(begin, static_cast<size_t>(encoding.ends[i]) - begin);
  };
  impl_->post_processor.apply({.text = text, .special = special, .token_text = token_text},
                              encoding);
  return encoding;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialOutput special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    const std::string* token = impl_->token(id);
    if (!token || (special == SpecialOutput::kSkip && impl_->is_special(id))) continue;
    tokens.push_back(*token);
  }
  return impl_->decoder.decode(std::move(tokens));
}

bool Tokenizer::waits_behind(int32_t id) const {
  const std::string* token = impl_->token(id);
  return token && impl_->decoder.waits_behind(*token);
}

std::string Tokenizer::id_to_token(int32_t id) const {
  const std::string* token = impl_->token(id);
  return token ? *token : "";
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  return impl_->find(token);
}

int32_t Tokenizer::vocab_size() const { return impl_->added_tokens.end_id(); }

std::optional<int32_t> Tokenizer::bos_id() const { return impl_->find_named(impl_->named.bos); }
std::optional<int32_t> Tokenizer::eos_id() const { return impl_->find_named(impl_->named.eos); }
std::optional<int32_t> Tokenizer::pad_id() const { return impl_->find_named(impl_->named.pad); }
std::string Tokenizer::bos_token() const { return impl_->named.bos; }
std::string Tokenizer::eos_token() const { return impl_->named.eos; }
std::string Tokenizer::pad_token() const { return impl_->named.pad; }
std::string Tokenizer::unk_token() const { return impl_->named.unk; }

const std::vector<std::string>& Tokenizer::notes() const { return impl_->added_tokens.notes(); }

}  // namespace rung::text
