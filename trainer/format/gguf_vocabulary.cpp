#include "format/gguf_vocabulary.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "format/gguf_fields.h"
#include "format/utf8.h"

namespace rung::format {

namespace {

constexpr size_t kMaxTokenBytes = 1024;  // the longest of real vocabularies are runs of spaces

[[noreturn]] void token_damaged(const GgufFields& fields, size_t id, const std::string& problem,
                                const std::string& got = "") {
  throw Error(ExitCode::kDamaged, {.what = fmt::format("token {} {}", id, problem),
                                   .got = got,
                                   .where = fields.where() + ", tokenizer.ggml.tokens"});
}

void read_kinds(const GgufFields& fields, GgufVocabulary& vocabulary) {
  const std::string key = "tokenizer.ggml.token_type";
  if (!fields.has(key)) {
    vocabulary.warnings.push_back(
        "the file does not say which tokens are special; those of the form <|...|> are taken");
    for (GgufToken& token : vocabulary.tokens) {
      if (token.text.starts_with("<|") && token.text.ends_with("|>")) {
        token.kind = TokenKind::kControl;
      }
    }
    return;
  }
  const std::vector<int64_t> kinds = fields.integers(key);
  if (kinds.size() != vocabulary.tokens.size()) {
    fields.damaged(key, fmt::format("{} entries, one a token", vocabulary.tokens.size()));
  }
  for (size_t id = 0; id < kinds.size(); ++id) {
    if (kinds[id] < 1 || kinds[id] > 6) {
      token_damaged(fields, id, "has a type that does not exist", fmt::format("{}", kinds[id]));
    }
    vocabulary.tokens[id].kind = static_cast<TokenKind>(kinds[id]);
  }
}

void read_scores(const GgufFields& fields, GgufVocabulary& vocabulary) {
  const std::string key = "tokenizer.ggml.scores";
  const std::vector<float>* scores = fields.floats(key);
  if (scores == nullptr) return;
  if (scores->size() != vocabulary.tokens.size()) {
    fields.damaged(key, fmt::format("{} entries, one a token", vocabulary.tokens.size()));
  }
  for (size_t id = 0; id < scores->size(); ++id) {
    if ((*scores)[id] != (*scores)[id]) token_damaged(fields, id, "has a score that is no number");
    vocabulary.tokens[id].score = (*scores)[id];
  }
}

bool looks_special(const std::string& text) {
  return text.size() >= 3 && text.front() == '<' && text.back() == '>';
}

// Some converters marked the tokens that open and close a turn as ordinary text; encoded as such,
// no template would ever produce their ids.
void read_roles(const GgufFields& fields, GgufVocabulary& vocabulary) {
  const auto max_id = static_cast<int64_t>(vocabulary.tokens.size()) - 1;
  const auto role = [&](std::string_view name) {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    const std::optional<int64_t> id = fields.integer(key, {.min = 0, .max = max_id});
    if (!id || name == "unknown" || name == "padding") return id;
    GgufToken& token = vocabulary.tokens[static_cast<size_t>(*id)];
    if (token.kind != TokenKind::kNormal) return id;
    if (looks_special(token.text)) {
      token.kind = TokenKind::kControl;
    } else {
      vocabulary.warnings.push_back(
          fmt::format("{} names token {}, which is ordinary text", key, *id));
    }
    return id;
  };
  vocabulary.bos_id = role("bos");
  vocabulary.eos_id = role("eos");
  vocabulary.unk_id = role("unknown");
  vocabulary.pad_id = role("padding");
  role("eot");
  role("eom");
}

}  // namespace

GgufVocabulary read_gguf_vocabulary(const GgufFile& file, int64_t vocab_size) {
  const GgufFields fields(file);
  const std::string key = "tokenizer.ggml.tokens";
  const std::vector<std::string>* texts = fields.texts(key);
  if (texts == nullptr || texts->empty()) fields.damaged(key, "the texts of the tokens");
  if (static_cast<int64_t>(texts->size()) > vocab_size) {
    fields.damaged(key, fmt::format("at most {}, the rows of token_embd.weight", vocab_size));
  }
  GgufVocabulary vocabulary;
  if (static_cast<int64_t>(texts->size()) < vocab_size) {
    vocabulary.warnings.push_back(fmt::format("{} of {} rows of the embedding have no token",
                                              vocab_size - static_cast<int64_t>(texts->size()),
                                              vocab_size));
  }
  for (size_t id = 0; id < texts->size(); ++id) {
    const std::string& text = (*texts)[id];
    if (!is_utf8(text)) token_damaged(fields, id, "is no UTF-8", text);
    if (text.size() > kMaxTokenBytes) token_damaged(fields, id, "is too long");
    vocabulary.tokens.push_back({.text = text});
    if (text.empty()) continue;
    const auto [entry, is_new] = vocabulary.id_of.emplace(text, static_cast<int>(id));
    if (!is_new) {
      token_damaged(fields, id, fmt::format("has the text of token {}", entry->second), text);
    }
  }
  read_kinds(fields, vocabulary);
  read_scores(fields, vocabulary);
  read_roles(fields, vocabulary);
  return vocabulary;
}

}  // namespace rung::format
