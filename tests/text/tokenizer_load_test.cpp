// What a tokenizer.json may ask for, and how refusals read.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/text/any_tokenizer.h"
#include "text/tokenizer.h"

namespace rung::text {
namespace {

// Characters a..e and ' ', "ab", "abc"; no other parts.
Json small_file() {
  return Json::parse(R"({
    "version": "1.0", "added_tokens": [],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, " ": 5, "ab": 6, "abc": 7},
              "merges": ["a b", ["ab", "c"]]}})");
}

Tokenizer load(const Json& file) {
  const testing::TempDir folder;
  folder.write("tokenizer.json", file.dump());
  return Tokenizer::load(folder.path());
}

std::vector<int32_t> ids_of(const Json& file, const std::string& text) {
  return load(file).encode(text, SpecialTokens::kAdd).ids;
}

using Ids = std::vector<int32_t>;

void expect_refused(const Json& file, ExitCode code, const std::string& words) {
  testing::expect_error(code, words, [&] { load(file); });
}

TEST(TokenizerLoad, MergesOfBothSpellingsApply) {
  EXPECT_EQ(ids_of(small_file(), "abcd"), (Ids{7, 3}));
}

TEST(TokenizerLoad, LowerRanksMergeFirst) {
  Json file = small_file();
  file["model"]["vocab"]["bc"] = 8;
  file["model"]["merges"] = {"b c", "a b", "ab c"};
  EXPECT_EQ(ids_of(file, "abc"), (Ids{0, 8}));
}

TEST(TokenizerLoad, TheLastOfEqualMergesCounts) {
  Json file = small_file();
  file["model"]["vocab"]["bc"] = 8;
  file["model"]["merges"] = {"a b", "b c", "a b"};
  EXPECT_EQ(ids_of(file, "abc"), (Ids{0, 8}));
}

TEST(TokenizerLoad, CharactersWithoutATokenAreLeftOut) {
  EXPECT_EQ(ids_of(small_file(), "axb"), (Ids{6}));
}

TEST(TokenizerLoad, OtherPartsAreRefusedByName) {
  const auto with = [](const std::string& part, const std::string& type) {
    Json file = small_file();
    file[part] = {{"type", type}};
    return file;
  };
  expect_refused(with("model", "Unigram"), ExitCode::kConfig, "model Unigram");
  expect_refused(with("model", "WordPiece"), ExitCode::kConfig, "model WordPiece");
  expect_refused(with("normalizer", "Precompiled"), ExitCode::kConfig, "normalizer Precompiled");
  expect_refused(with("pre_tokenizer", "UnicodeScripts"), ExitCode::kConfig,
                 "pre-tokenizer UnicodeScripts");
  expect_refused(with("post_processor", "Odd"), ExitCode::kConfig, "post-processor Odd");
  expect_refused(with("decoder", "CTC"), ExitCode::kConfig, "decoder CTC");
}

TEST(TokenizerLoad, DropoutIsRefused) {
  Json file = small_file();
  file["model"]["dropout"] = 0.1;
  expect_refused(file, ExitCode::kConfig, "BPE dropout is not supported");
  file["model"]["dropout"] = 0.0;
  EXPECT_NO_THROW(load(file));
}

TEST(TokenizerLoad, AMergeOutsideTheVocabularyIsNamed) {
  Json file = small_file();
  file["model"]["merges"].push_back("d e");
  expect_refused(file, ExitCode::kDamaged, "the merge \"d\" + \"e\"");
}

TEST(TokenizerLoad, AMergeOfThreeIsRefused) {
  Json file = small_file();
  file["model"]["merges"].push_back("a b c");
  expect_refused(file, ExitCode::kDamaged, "two tokens with one space");
}

TEST(TokenizerLoad, AnIdGivenTwiceIsRefused) {
  Json file = small_file();
  file["model"]["vocab"]["x"] = 3;
  expect_refused(file, ExitCode::kDamaged, "id 3 is given to two tokens");
}

TEST(TokenizerLoad, AHugeIdIsRefused) {
  Json file = small_file();
  file["model"]["vocab"]["x"] = 4000000000;
  expect_refused(file, ExitCode::kDamaged, "4000000000");
}

TEST(TokenizerLoad, AWrongTypeIsNamedByItsPath) {
  Json file = small_file();
  file["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", 1}}}}};
  expect_refused(file, ExitCode::kDamaged, "pre_tokenizer.pretokenizers[0].individual_digits");
}

TEST(TokenizerLoad, ABadRegularExpressionIsNamed) {
  Json file = small_file();
  file["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "a(b"}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  expect_refused(file, ExitCode::kDamaged, "\"a(b\" does not compile");
}

TEST(TokenizerLoad, AnUnknownVersionIsRefused) {
  Json file = small_file();
  file["version"] = "2.0";
  expect_refused(file, ExitCode::kDamaged, "version");
}

TEST(TokenizerLoad, AnUnknownTokenOutsideTheVocabularyFailsWhenNeeded) {
  Json file = small_file();
  file["model"]["unk_token"] = "<unk>";
  const Tokenizer tokenizer = load(file);
  EXPECT_EQ(tokenizer.encode("ab", SpecialTokens::kAdd).ids, (Ids{6}));
  EXPECT_THROW(tokenizer.encode("x", SpecialTokens::kAdd), Error);
}

TEST(TokenizerLoad, AddedTokensTakeTheNextFreeIdWhateverTheFileSays) {
  Json file = small_file();
  file["added_tokens"] = {{{"id", 50}, {"content", "<x>"}, {"special", true}},
                          {{"id", 9}, {"content", "<y>"}},
                          {{"id", 51}, {"content", "ab"}}};
  const Tokenizer tokenizer = load(file);
  EXPECT_EQ(tokenizer.token_to_id("<x>"), 8);
  EXPECT_EQ(tokenizer.token_to_id("<y>"), 9);
  EXPECT_EQ(tokenizer.token_to_id("ab"), 6);
  EXPECT_EQ(tokenizer.vocab_size(), 10);
  ASSERT_EQ(tokenizer.notes().size(), 2u);
  EXPECT_NE(tokenizer.notes()[0].find("\"<x>\" has id 8, not 50"), std::string::npos);
}

TEST(TokenizerLoad, TruncationAndPaddingAreLeftToTheCaller) {
  Json file = small_file();
  file["truncation"] = {{"max_length", 1}, {"strategy", "LongestFirst"}};
  EXPECT_EQ(ids_of(file, "abcd"), (Ids{7, 3}));
}

TEST(TokenizerLoad, ATemplateMustHoldTheTextOnce) {
  Json file = small_file();
  file["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", Json::array()},
                            {"special_tokens", Json::object()}};
  expect_refused(file, ExitCode::kConfig, "post_processor.single");
}

TEST(TokenizerLoad, SplitBehavioursCutAsDocumented) {
  const std::vector<std::pair<std::string, Ids>> expected = {
      {"Removed", {0, 1, 2}},
      {"Isolated", {0, 5, 1, 5, 5, 2}},
      {"MergedWithPrevious", {8, 9, 5, 2}},
      {"MergedWithNext", {0, 10, 5, 11}},
      {"Contiguous", {0, 5, 1, 12, 2}},
  };
  for (const auto& [behavior, ids] : expected) {
    Json file = small_file();
    Json& vocab = file["model"]["vocab"];
    vocab["a "] = 8, vocab["b "] = 9, vocab[" b"] = 10, vocab[" c"] = 11, vocab["  "] = 12;
    file["model"]["merges"] =
        Json::array({Json::array({"a", " "}), Json::array({"b", " "}), Json::array({" ", "b"}),
                     Json::array({" ", "c"}), Json::array({" ", " "})});
    file["pre_tokenizer"] = {{"type", "Split"},
                             {"pattern", {{"String", " "}}},
                             {"behavior", behavior},
                             {"invert", false}};
    EXPECT_EQ(ids_of(file, "a b  c"), ids) << behavior;
  }
}

TEST(TokenizerLoad, ThreadsMayEncodeAtOnce) {
  expect_threads_may_encode(std::string(RUNG_TEST_DATA) + "/golden/tokenizer/llama3");
}

}  // namespace
}  // namespace rung::text
