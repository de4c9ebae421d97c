#include "format/gguf_tokenizer.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "format/gguf_fields.h"
#include "format/gguf_merges.h"
#include "format/gguf_pre_tokenizer.h"
#include "format/gguf_vocabulary.h"
#include "format/utf8.h"

namespace rung::format {

namespace {

constexpr std::string_view kWordStart = "\u2581";  // SentencePiece writes a space so

std::string with_spaces(std::string_view piece) {
  std::string text;
  while (!piece.empty()) {
    const bool is_space = piece.starts_with(kWordStart);
    text += is_space ? ' ' : piece.front();
    piece.remove_prefix(is_space ? kWordStart.size() : 1);
  }
  return text;
}

bool is_added(const GgufToken& token) {
  return !token.text.empty() &&
         (token.kind == TokenKind::kControl || token.kind == TokenKind::kUserDefined ||
          token.kind == TokenKind::kUnknown);
}

Json added_token_fields(const GgufToken& token) {
  return {{"content", token.text}, {"single_word", false},
          {"lstrip", false},       {"rstrip", false},
          {"normalized", false},   {"special", token.kind != TokenKind::kUserDefined}};
}

Json added_tokens_json(const GgufVocabulary& vocabulary) {
  Json list = Json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!is_added(vocabulary.tokens[id])) continue;
    Json entry = {{"id", id}};
    entry.update(added_token_fields(vocabulary.tokens[id]));
    list.push_back(std::move(entry));
  }
  return list;
}

// Unused tokens (padding of the vocabulary) are left out: no text may become one.
Json vocab_json(const GgufVocabulary& vocabulary) {
  Json vocab = Json::object();
  // The map's own insertion would scan all its keys; the vocabulary has checked them.
  auto& entries = vocab.get_ref<Json::object_t&>();
  entries.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const GgufToken& token = vocabulary.tokens[id];
    if (token.text.empty() || token.kind == TokenKind::kUnused) continue;
    entries.emplace_back(token.text, id);
  }
  return vocab;
}

struct ModelParts {
  Json unk_token;  // null where there is none
  bool byte_fallback = false;
  bool ignore_merges = false;
};

Json model_json(const GgufVocabulary& vocabulary, const std::vector<Merge>& merges,
                const ModelParts& parts) {
  Json merge_list = Json::array();
  for (const Merge& merge : merges) merge_list.push_back({merge.first, merge.second});
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", parts.unk_token},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", !parts.unk_token.is_null()},
          {"byte_fallback", parts.byte_fallback},
          {"ignore_merges", parts.ignore_merges},
          {"vocab", vocab_json(vocabulary)},
          {"merges", std::move(merge_list)}};
}

// The text of the token with a role; null where there is none.
Json token_text(const GgufVocabulary& vocabulary, const std::optional<int64_t>& id) {
  if (!id) return nullptr;
  const std::string& text = vocabulary.tokens[static_cast<size_t>(*id)].text;
  return text.empty() ? Json(nullptr) : Json(text);
}

// Puts BOS and EOS around a text, null where neither is asked for.
Json post_processor_json(const GgufFields& fields, const GgufVocabulary& vocabulary,
                         bool adds_bos_by_default) {
  const bool adds_bos =
      fields.boolean("tokenizer.ggml.add_bos_token").value_or(adds_bos_by_default);
  const bool adds_eos = fields.boolean("tokenizer.ggml.add_eos_token").value_or(false);
  const Json bos = adds_bos ? token_text(vocabulary, vocabulary.bos_id) : Json(nullptr);
  const Json eos = adds_eos ? token_text(vocabulary, vocabulary.eos_id) : Json(nullptr);
  if (bos.is_null() && eos.is_null()) return nullptr;
  Json special_tokens = Json::object();
  const auto around = [&](const char* sequence, int type_id) {
    Json pieces = Json::array();
    const auto add_special = [&](const Json& text, const std::optional<int64_t>& id) {
      if (text.is_null()) return;
      pieces.push_back({{"SpecialToken", {{"id", text}, {"type_id", type_id}}}});
      special_tokens[text.get<std::string>()] = {
          {"id", text}, {"ids", Json::array({*id})}, {"tokens", Json::array({text})}};
    };
    add_special(bos, vocabulary.bos_id);
    pieces.push_back({{"Sequence", {{"id", sequence}, {"type_id", type_id}}}});
    add_special(eos, vocabulary.eos_id);
    return pieces;
  };
  const Json single = around("A", 0);
  Json pair = single;
  for (Json& piece : around("B", 1)) pair.push_back(std::move(piece));
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(special_tokens)}};
}

Json byte_level_tokenizer(const GgufFile& file, const GgufVocabulary& vocabulary) {
  const GgufFields fields(file);
  PreTokenizer pre = read_gguf_pre_tokenizer(fields);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens_json(vocabulary)},
          {"normalizer", std::move(pre.normalizer)},
          {"pre_tokenizer", std::move(pre.pre_tokenizer)},
          {"post_processor", post_processor_json(fields, vocabulary, pre.adds_bos)},
          {"decoder",
           {{"type", "ByteLevel"},
            {"add_prefix_space", true},
            {"trim_offsets", true},
            {"use_regex", true}}},
          {"model", model_json(vocabulary, read_gguf_merges(file, vocabulary),
                               {.ignore_merges = pre.ignore_merges})}};
}

Json replace_json(std::string_view from, std::string_view to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Json sentencepiece_tokenizer(const GgufFile& file, const GgufVocabulary& vocabulary) {
  const GgufFields fields(file);
  const bool adds_space = fields.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  Json normalizers = Json::array();
  Json decoders = Json::array(
      {replace_json(kWordStart, " "), Json({{"type", "ByteFallback"}}), Json({{"type", "Fuse"}})});
  if (adds_space) {
    normalizers.push_back({{"type", "Prepend"}, {"prepend", kWordStart}});
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  normalizers.push_back(replace_json(" ", kWordStart));
  const ModelParts parts = {.unk_token = token_text(vocabulary, vocabulary.unk_id),
                            .byte_fallback = true};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens_json(vocabulary)},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", post_processor_json(fields, vocabulary, true)},
          {"decoder", {{"type", "Sequence"}, {"decoders", std::move(decoders)}}},
          {"model", model_json(vocabulary, merges_from_scores(vocabulary), parts)}};
}

// SentencePiece files spell the spaces of user-defined tokens as in the vocabulary, but such
// tokens are found in the text as it was given.
void spell_user_defined(GgufVocabulary& vocabulary) {
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    GgufToken& token = vocabulary.tokens[id];
    if (token.kind != TokenKind::kUserDefined) continue;
    const std::string text = with_spaces(token.text);
    if (text == token.text || vocabulary.contains(text)) continue;
    vocabulary.id_of.erase(token.text);
    vocabulary.id_of.emplace(text, static_cast<int>(id));
    token.text = text;
  }
}

void add_chat_template(const GgufFile& file, GgufTokenizer& result) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  const GgufFields fields(file);
  const std::optional<std::string> source = fields.text(kKey);
  if (source && !is_utf8(*source)) fields.damaged(kKey, "UTF-8");
  if (source) {
    result.tokenizer_config["chat_template"] = *source;
  } else {
    result.warnings.push_back("the file has no chat template");
  }
  const std::string others = std::string(kKey) + ".";
  for (const auto& [key, value] : file.values()) {
    if (key.starts_with(others)) {
      result.warnings.push_back(fmt::format("the further chat template {} is left out", key));
    }
  }
}

// PreTrainedTokenizerFast executes tokenizer.json as it is; the classes of single models rebuild
// parts of it in transformers 5.
Json tokenizer_config_json(const GgufVocabulary& vocabulary, int64_t max_length) {
  Json decoder = Json::object();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const GgufToken& token = vocabulary.tokens[id];
    if (!is_added(token)) continue;
    decoder.get_ref<Json::object_t&>().emplace_back(std::to_string(id), added_token_fields(token));
  }
  Json config = {{"added_tokens_decoder", std::move(decoder)},
                 {"clean_up_tokenization_spaces", false},
                 {"model_max_length", max_length},
                 {"tokenizer_class", "PreTrainedTokenizerFast"}};
  const auto add_role = [&](const char* key, const std::optional<int64_t>& id) {
    const Json text = token_text(vocabulary, id);
    if (!text.is_null()) config[key] = text;
  };
  add_role("bos_token", vocabulary.bos_id);
  add_role("eos_token", vocabulary.eos_id);
  add_role("unk_token", vocabulary.unk_id);
  add_role("pad_token", vocabulary.pad_id);
  return config;
}

}  // namespace

GgufTokenizer read_gguf_tokenizer(const TokenizerSource& source) {
  constexpr std::string_view kModelKey = "tokenizer.ggml.model";
  const GgufFields fields(source.file);
  const std::string model = fields.text(kModelKey).value_or("");
  const bool is_sentencepiece = model == "llama";
  if (!is_sentencepiece && model != "gpt2") fields.refuse(kModelKey, "gpt2 or llama");

  GgufVocabulary vocabulary = read_gguf_vocabulary(source.file, source.vocab_size);
  if (is_sentencepiece) spell_user_defined(vocabulary);
  GgufTokenizer result;
  result.tokenizer = is_sentencepiece ? sentencepiece_tokenizer(source.file, vocabulary)
                                      : byte_level_tokenizer(source.file, vocabulary);
  result.tokenizer_config = tokenizer_config_json(vocabulary, source.max_length);
  if (vocabulary.pad_id) result.pad_token_id = *vocabulary.pad_id;
  result.num_tokens = static_cast<int64_t>(vocabulary.tokens.size());
  result.warnings = vocabulary.warnings;
  add_chat_template(source.file, result);
  return result;
}

}  // namespace rung::format
