// tokenizer.json and tokenizer_config.json from the keys of a GGUF file.
#include "format/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "format/gguf_config.h"
#include "format/gguf_tensors.h"
#include "tests/format/tiny_gguf.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using testing::expect_error;
using testing::GgufBuilder;
using testing::TempDir;
using testing::tiny_gguf;

GgufTokenizer tokenizer_of(const GgufBuilder& builder, int64_t vocab_size = 8) {
  const TempDir dir;
  const GgufFile file(dir.write("m.gguf", builder.build()));
  return read_gguf_tokenizer({.file = file, .vocab_size = vocab_size, .max_length = 128});
}

void expect_refused(const GgufBuilder& builder, ExitCode code, const std::string& words) {
  expect_error(code, words, [&] { tokenizer_of(builder); });
}

Json pre_tokenizer_of(const std::string& pre) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.pre", pre);
  return tokenizer_of(builder).tokenizer["pre_tokenizer"];
}

TEST(GgufTokenizer, KeepsTheIdsAndLeavesUnusedTokensOut) {
  const Json vocab = tokenizer_of(tiny_gguf()).tokenizer["model"]["vocab"];
  EXPECT_EQ(vocab.size(), 7U);
  EXPECT_EQ(vocab["ab"], 3);
  EXPECT_EQ(vocab["<tool>"], 6);
  EXPECT_FALSE(vocab.contains("[p]"));
}

TEST(GgufTokenizer, WritesTheMergesAsPairs) {
  const Json merges = tokenizer_of(tiny_gguf()).tokenizer["model"]["merges"];
  EXPECT_EQ(merges.dump(), R"([["a","b"]])");
}

TEST(GgufTokenizer, ControlTokensAreSpecialUserDefinedOnesAreNot) {
  const Json added = tokenizer_of(tiny_gguf()).tokenizer["added_tokens"];
  ASSERT_EQ(added.size(), 2U);
  EXPECT_EQ(added[0]["content"], "<|end|>");
  EXPECT_EQ(added[0]["special"], true);
  EXPECT_EQ(added[1]["id"], 6);
  EXPECT_EQ(added[1]["special"], false);
}

TEST(GgufTokenizer, SmollmSplitsDigitsThenAsGpt2) {
  EXPECT_EQ(pre_tokenizer_of("smollm").dump(),
            R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},)"
            R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)"
            R"("use_regex":true}]})");
}

TEST(GgufTokenizer, Gpt2SplitsByItsOwnPattern) {
  EXPECT_EQ(pre_tokenizer_of("gpt-2").dump(),
            R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)"
            R"("use_regex":true})");
}

TEST(GgufTokenizer, Llama3SplitsNumbersByThreeDigits) {
  const Json pre = pre_tokenizer_of("llama-bpe");
  EXPECT_EQ(pre["pretokenizers"][0]["pattern"]["Regex"],
            R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
            R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)");
  EXPECT_EQ(pre["pretokenizers"][1]["use_regex"], false);
}

TEST(GgufTokenizer, Qwen2NormalisesToNfc) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.pre", "qwen2");
  EXPECT_EQ(tokenizer_of(builder).tokenizer["normalizer"].dump(), R"({"type":"NFC"})");
}

TEST(GgufTokenizer, RefusesAnotherSplittingByName) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.pre", "poro-chat");
  expect_refused(
      builder, ExitCode::kConfig,
      "tokenizer.ggml.pre is not supported: got poro-chat, expected one of gpt-2, smollm");
}

TEST(GgufTokenizer, RefusesAnotherKindByName) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.model", "bert");
  expect_refused(builder, ExitCode::kConfig, "tokenizer.ggml.model is not supported: got bert");
}

TEST(GgufTokenizer, AddsNoBosWhereTheFileSaysSo) {
  EXPECT_TRUE(tokenizer_of(tiny_gguf()).tokenizer["post_processor"].is_null());
}

TEST(GgufTokenizer, AddsTheBosThatTheFileAsksFor) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.add_bos_token", true);
  EXPECT_EQ(tokenizer_of(builder).tokenizer["post_processor"]["single"].dump(),
            R"([{"SpecialToken":{"id":"<|end|>","type_id":0}},)"
            R"({"Sequence":{"id":"A","type_id":0}}])");
}

TEST(GgufTokenizer, Llama3AddsBosWhereTheFileIsSilent) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.pre", "llama-bpe");
  builder.remove("tokenizer.ggml.add_bos_token");
  EXPECT_EQ(tokenizer_of(builder).tokenizer["post_processor"]["type"], "TemplateProcessing");
}

TEST(GgufTokenizer, ConfigNamesRolesAndTemplate) {
  GgufBuilder builder = tiny_gguf();
  builder.add("tokenizer.ggml.padding_token_id", uint32_t{0});
  const GgufTokenizer tokenizer = tokenizer_of(builder);
  EXPECT_EQ(tokenizer.tokenizer_config["eos_token"], "<|end|>");
  EXPECT_EQ(tokenizer.tokenizer_config["pad_token"], "<|end|>");
  EXPECT_FALSE(tokenizer.tokenizer_config.contains("unk_token"));
  EXPECT_EQ(tokenizer.tokenizer_config["chat_template"], "{{ messages }}");
  EXPECT_EQ(tokenizer.tokenizer_config["added_tokens_decoder"]["6"]["content"], "<tool>");
  EXPECT_EQ(tokenizer.pad_token_id, 0);
}

TEST(GgufTokenizer, AnEosMarkedAsTextBecomesSpecial) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1, 1, 1, 1, 4, 5});
  EXPECT_EQ(tokenizer_of(builder).tokenizer["added_tokens"][0]["special"], true);
}

TEST(GgufTokenizer, NotesAMissingTemplate) {
  GgufBuilder builder = tiny_gguf();
  builder.remove("tokenizer.chat_template");
  EXPECT_EQ(tokenizer_of(builder).warnings,
            (std::vector<std::string>{"the file has no chat template"}));
}

TEST(GgufTokenizer, NotesRowsWithoutAToken) {
  EXPECT_EQ(tokenizer_of(tiny_gguf(), 10).warnings,
            (std::vector<std::string>{"2 of 10 rows of the embedding have no token"}));
}

TEST(GgufTokenizer, RefusesMoreTokensThanRows) {
  expect_error(ExitCode::kDamaged,
               "tokenizer.ggml.tokens is wrong: got an array of 8, expected at most 7",
               [] { tokenizer_of(tiny_gguf(), 7); });
}

TEST(GgufTokenizer, RefusesADuplicateToken) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.tokens",
              std::vector<std::string>{"<|end|>", "a", "b", "ab", "a", "1", "<tool>", "[p]"});
  expect_refused(builder, ExitCode::kDamaged, "token 4 has the text of token 1: got a");
}

TEST(GgufTokenizer, RefusesATokenThatIsNoUtf8) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.tokens",
              std::vector<std::string>{"<|end|>", "a", "b", "ab", "\xff", "1", "<tool>", "[p]"});
  expect_refused(builder, ExitCode::kDamaged, "token 4 is no UTF-8: got \\xff");
}

TEST(GgufTokenizer, RefusesAMergeOfUnknownTokens) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.merges", std::vector<std::string>{"a b", "a c"});
  expect_refused(builder, ExitCode::kDamaged, "merge 1 of the tokenizer is wrong: got a c");
}

TEST(GgufTokenizer, RefusesAMergeThatIsNoPair) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.merges", std::vector<std::string>{"ab"});
  expect_refused(builder, ExitCode::kDamaged, "merge 0 of the tokenizer is wrong: got ab");
}

TEST(GgufTokenizer, RefusesAnEosBeyondTheVocabulary) {
  GgufBuilder builder = tiny_gguf();
  builder.set("tokenizer.ggml.eos_token_id", uint32_t{8});
  expect_refused(builder, ExitCode::kDamaged, "tokenizer.ggml.eos_token_id is wrong: got 8");
}

// Whatever the header says after a byte of it changed, the model is read or refused.
TEST(GgufTokenizer, AFlippedByteOfTheHeaderIsReadOrRefused) {
  const TempDir dir;
  const std::string sound = tiny_gguf().build();
  const size_t header_bytes = sound.find("output_norm.weight");
  std::mt19937 random(1);
  for (size_t at = 0; at < header_bytes; ++at) {
    std::string bytes = sound;
    bytes[at] = static_cast<char>(random());
    try {
      const GgufFile file(dir.write("m.gguf", bytes));
      const ModelConfig config = read_gguf_config(file, DType::kBF16);
      plan_gguf_tensors(file, config);
      const GgufTokenizer tokenizer =
          read_gguf_tokenizer({.file = file, .vocab_size = config.vocab_size, .max_length = 128});
      EXPECT_FALSE(tokenizer.tokenizer.dump().empty());  // throws where a text is no UTF-8
      EXPECT_FALSE(tokenizer.tokenizer_config.dump().empty());
    } catch (const Error&) {
      // as good: what counts is that nothing else is thrown and no memory is touched
    }
  }
}

// --- SentencePiece

GgufBuilder sentencepiece() {
  GgufBuilder builder;
  builder.add("tokenizer.ggml.model", "llama");
  builder.add("tokenizer.ggml.tokens",
              std::vector<std::string>{"<unk>", "<s>", "</s>", "<0x0A>", "\u2581", "a", "b", "ab",
                                       "\u2581a", "\u2581ab", "x\u2581y"});
  builder.add("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 4});
  builder.add("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, 0, -5, -6, -7, -1, -2, -3, 0});
  builder.add("tokenizer.ggml.bos_token_id", uint32_t{1});
  builder.add("tokenizer.ggml.eos_token_id", uint32_t{2});
  builder.add("tokenizer.ggml.unknown_token_id", uint32_t{0});
  return builder;
}

TEST(GgufTokenizer, SentencepieceMergesComeFromTheScores) {
  const Json merges = tokenizer_of(sentencepiece(), 11).tokenizer["model"]["merges"];
  EXPECT_EQ(merges, Json::parse(R"([["a","b"],["▁","a"],["▁a","b"],["▁","ab"]])"));
}

TEST(GgufTokenizer, SentencepieceFallsBackToBytes) {
  const Json model = tokenizer_of(sentencepiece(), 11).tokenizer["model"];
  EXPECT_EQ(model["byte_fallback"], true);
  EXPECT_EQ(model["unk_token"], "<unk>");
  EXPECT_EQ(model["vocab"]["<0x0A>"], 3);
}

TEST(GgufTokenizer, SentencepiecePutsASpaceBeforeTheText) {
  const Json normalizer = tokenizer_of(sentencepiece(), 11).tokenizer["normalizer"];
  EXPECT_EQ(normalizer["normalizers"][0]["type"], "Prepend");
}

TEST(GgufTokenizer, SentencepieceWithoutASpaceInFront) {
  GgufBuilder builder = sentencepiece();
  builder.add("tokenizer.ggml.add_space_prefix", false);
  const Json tokenizer = tokenizer_of(builder, 11).tokenizer;
  EXPECT_EQ(tokenizer["normalizer"]["normalizers"][0]["type"], "Replace");
  EXPECT_EQ(tokenizer["decoder"]["decoders"].size(), 3U);
}

TEST(GgufTokenizer, SentencepieceSpellsUserDefinedTokensWithSpaces) {
  const Json tokenizer = tokenizer_of(sentencepiece(), 11).tokenizer;
  EXPECT_EQ(tokenizer["added_tokens"][3]["content"], "x y");
  EXPECT_EQ(tokenizer["model"]["vocab"]["x y"], 10);
}

}  // namespace
}  // namespace rung::format
