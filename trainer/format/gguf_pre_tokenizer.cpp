#include "format/gguf_pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace rung::format {

namespace {

enum class Splitting { kGpt2, kDigitsGpt2, kPattern };

struct PreTokenizerFacts {
  std::string_view name;
  Splitting splitting;
  std::string_view pattern;  // of kPattern
  bool has_nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;
};

// Llama 3: words with one leading mark, numbers of up to three digits, marks, line ends, spaces.
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Qwen 2: the same with single digits.
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Mistral NeMo: words also end where a capital follows a small letter.
constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr PreTokenizerFacts kLlama3 = {.name = "llama-bpe",
                                       .splitting = Splitting::kPattern,
                                       .pattern = kLlama3Pattern,
                                       .ignore_merges = true,
                                       .adds_bos = true};
constexpr PreTokenizerFacts kQwen2 = {
    .name = "qwen2", .splitting = Splitting::kPattern, .pattern = kQwen2Pattern, .has_nfc = true};

constexpr PreTokenizerFacts named(PreTokenizerFacts facts, std::string_view name) {
  facts.name = name;
  return facts;
}

constexpr std::array<PreTokenizerFacts, 9> kPreTokenizers = {{
    {.name = "gpt-2", .splitting = Splitting::kGpt2},
    {.name = "smollm", .splitting = Splitting::kDigitsGpt2},
    {.name = "starcoder", .splitting = Splitting::kDigitsGpt2},
    {.name = "refact", .splitting = Splitting::kDigitsGpt2},
    kLlama3,
    named(kLlama3, "llama3"),
    kQwen2,
    named(kQwen2, "deepseek-r1-qwen"),
    {.name = "tekken",
     .splitting = Splitting::kPattern,
     .pattern = kTekkenPattern,
     .ignore_merges = true,
     .adds_bos = true},
}};

const PreTokenizerFacts& find_facts(const GgufFields& fields) {
  constexpr std::string_view kKey = "tokenizer.ggml.pre";
  const std::string name = fields.text(kKey).value_or("");
  const auto facts = std::find_if(kPreTokenizers.begin(), kPreTokenizers.end(),
                                  [&](const PreTokenizerFacts& it) { return it.name == name; });
  if (facts != kPreTokenizers.end()) return *facts;
  std::string names;
  for (const PreTokenizerFacts& it : kPreTokenizers) {
    names += (names.empty() ? "" : ", ") + std::string(it.name);
  }
  fields.refuse(kKey, "one of " + names,
                name.empty() ? "convert the model again with a current llama.cpp"
                             : "use the model's Hugging Face folder instead of the GGUF file");
}

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json splitting_json(const PreTokenizerFacts& facts) {
  if (facts.splitting == Splitting::kGpt2) return byte_level(true);
  const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", facts.pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const bool is_pattern = facts.splitting == Splitting::kPattern;
  Json parts = Json::array({is_pattern ? split : digits, byte_level(!is_pattern)});
  return {{"type", "Sequence"}, {"pretokenizers", std::move(parts)}};
}

}  // namespace

PreTokenizer read_gguf_pre_tokenizer(const GgufFields& fields) {
  const PreTokenizerFacts& facts = find_facts(fields);
  return {.normalizer = facts.has_nfc ? Json({{"type", "NFC"}}) : Json(nullptr),
          .pre_tokenizer = splitting_json(facts),
          .ignore_merges = facts.ignore_merges,
          .adds_bos = facts.adds_bos};
}

}  // namespace rung::format
