// A tokenizer in which every byte of the text is the token of that number, and four special tokens
// follow: byte-level BPE without merges. It makes expected ids readable in tests.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/temp_dir.h"
#include "text/tokenizer.h"

namespace rung::testing {

inline constexpr int32_t kBos = 256;
inline constexpr int32_t kEos = 257;
inline constexpr int32_t kTurnBegin = 258;  // <|im_start|>
inline constexpr int32_t kTurnEnd = 259;    // <|im_end|>
inline constexpr int32_t kByteVocab = 260;

enum class Affixes { kNone, kBegin, kBeginAndEnd };  // what the post-processor adds

// GPT-2's printable stand-in for `byte`, as UTF-8.
inline std::string byte_symbol(int byte, int& next_stand_in) {
  const bool printable =
      (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  const int code = printable ? byte : 256 + next_stand_in++;
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

inline nlohmann::json special_token(int32_t id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

inline nlohmann::json template_processing(Affixes affixes) {
  const auto special = [](const char* name) {
    return nlohmann::json{{"SpecialToken", {{"id", name}, {"type_id", 0}}}};
  };
  nlohmann::json single = {special("<s>"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}};
  if (affixes == Affixes::kBeginAndEnd) single.push_back(special("</s>"));
  const auto entry = [](const char* name, int32_t id) {
    return nlohmann::json{{"id", name}, {"ids", {id}}, {"tokens", {name}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", single},
          {"special_tokens", {{"<s>", entry("<s>", kBos)}, {"</s>", entry("</s>", kEos)}}}};
}

// Writes tokenizer.json and tokenizer_config.json into `folder`.
inline void write_byte_tokenizer(const TempDir& folder, Affixes affixes = Affixes::kNone) {
  nlohmann::json vocab;
  int next_stand_in = 0;
  for (int byte = 0; byte < 256; ++byte) vocab[byte_symbol(byte, next_stand_in)] = byte;
  const nlohmann::json byte_level = {{"type", "ByteLevel"},
                                     {"add_prefix_space", false},
                                     {"trim_offsets", false},
                                     {"use_regex", true}};
  nlohmann::json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {special_token(kBos, "<s>"), special_token(kEos, "</s>"),
        special_token(kTurnBegin, "<|im_start|>"), special_token(kTurnEnd, "<|im_end|>")}},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", vocab},
        {"merges", nlohmann::json::array()}}}};
  if (affixes != Affixes::kNone) tokenizer["post_processor"] = template_processing(affixes);
  folder.write("tokenizer.json", tokenizer.dump());
  folder.write("tokenizer_config.json", R"({"bos_token":"<s>","eos_token":"</s>"})");
}

inline text::Tokenizer byte_tokenizer(Affixes affixes = Affixes::kNone) {
  const TempDir folder;
  write_byte_tokenizer(folder, affixes);
  return text::Tokenizer::load(folder.path());
}

}  // namespace rung::testing
