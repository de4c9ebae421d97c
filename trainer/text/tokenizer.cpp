#include "text/tokenizer.h"

#include <fmt/format.h>

#include <limits>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "text/tokenizer/engine.h"
#include "text/tokenizer/json_engine.h"
#include "text/tokenizer/sentencepiece_engine.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

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

bool is_absent(const std::filesystem::path& path) {
  std::error_code unreadable;  // is reported when the file is read
  return !std::filesystem::exists(path, unreadable) && !unreadable;
}

// Says which tokenizer a folder has that has none of ours.
[[noreturn]] void refuse_folder(const std::filesystem::path& model_dir) {
  // Of Mistral, other classes of transformers, Qwen's first models, Llama's own releases.
  for (const char* name :
       {"tekken.json", "tokenizer.model.v3", "tokenizer.model.v2", "tokenizer.model.v1",
        "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt", "qwen.tiktoken",
        "original/tokenizer.model"}) {
    if (is_absent(model_dir / name)) continue;
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("a tokenizer in the form of {} is not supported", name),
                 .expected = "tokenizer.json, or tokenizer.model (SentencePiece)",
                 .hint = "let transformers write one: "
                         "AutoTokenizer.from_pretrained(dir).save_pretrained(dir)",
                 .where = model_dir.string()});
  }
  throw Error(ExitCode::kConfig, {.what = "the model folder has no tokenizer",
                                  .expected = "tokenizer.json, or tokenizer.model (SentencePiece)",
                                  .where = model_dir.string()});
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerEngine> engine) : engine_(std::move(engine)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  if (!is_absent(model_dir / "tokenizer.json")) return Tokenizer(load_tokenizer_json(model_dir));
  if (!is_absent(model_dir / "tokenizer.model")) return Tokenizer(load_sentencepiece(model_dir));
  refuse_folder(model_dir);
}

Encoding Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  check_text(text);
  return engine_->encode(text, special);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SpecialOutput special) const {
  return engine_->decode(ids, special);
}

bool Tokenizer::waits_behind(int32_t id) const { return engine_->waits_behind(id); }

std::string Tokenizer::id_to_token(int32_t id) const {
  const std::string* token = engine_->token(id);
  return token ? *token : "";
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  return engine_->find(token);
}

int32_t Tokenizer::vocab_size() const { return engine_->end_id(); }

std::optional<int32_t> Tokenizer::find_named(const std::string& name) const {
  return name.empty() ? std::nullopt : engine_->find(name);
}

std::optional<int32_t> Tokenizer::bos_id() const { return find_named(engine_->named().bos); }
std::optional<int32_t> Tokenizer::eos_id() const { return find_named(engine_->named().eos); }
std::optional<int32_t> Tokenizer::pad_id() const { return find_named(engine_->named().pad); }
std::string Tokenizer::bos_token() const { return engine_->named().bos; }
std::string Tokenizer::eos_token() const { return engine_->named().eos; }
std::string Tokenizer::pad_token() const { return engine_->named().pad; }
std::string Tokenizer::unk_token() const { return engine_->named().unk; }

const std::vector<std::string>& Tokenizer::notes() const { return engine_->notes(); }

}  // namespace rung::text
