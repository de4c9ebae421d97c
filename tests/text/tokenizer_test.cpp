// The tokenizer against what the Hugging Face library makes of the same files and texts
// (scripts/make_tokenizer_golden.py).
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/text/any_tokenizer.h"
#include "text/stream_decoder.h"

namespace rung::text {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(RUNG_TEST_DATA) / "golden" / "tokenizer";

struct Case {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<int32_t> bare_ids;  // without special tokens
  std::vector<int32_t> offsets;   // begin, end, begin, ...
  std::string kept;
  std::string skipped;
};

std::vector<Case> read_cases(const std::string& family) {
  std::vector<Case> cases;
  for (const Json& entry : read_json_file(kGolden / family / "expected.json")) {
    Case one{.text = entry["text"],
             .ids = entry["ids"],
             .bare_ids = entry["ids"],
             .offsets = entry["offsets"],
             .kept = entry["kept"],
             .skipped = entry["skipped"]};
    if (entry.contains("bare_ids")) one.bare_ids = entry["bare_ids"].get<std::vector<int32_t>>();
    cases.push_back(std::move(one));
  }
  return cases;
}

std::vector<int32_t> interleave(const Encoding& encoding) {
  std::vector<int32_t> offsets;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    offsets.push_back(encoding.begins[i]);
    offsets.push_back(encoding.ends[i]);
  }
  return offsets;
}

class TokenizerGolden : public ::testing::TestWithParam<std::string> {
 protected:
  TokenizerGolden() : tokenizer(Tokenizer::load(kGolden / GetParam())) {}

  Tokenizer tokenizer;
  std::vector<Case> cases = read_cases(GetParam());
};

TEST_P(TokenizerGolden, IdsMatch) { expect_same_ids(tokenizer, cases); }

TEST_P(TokenizerGolden, IdsWithoutSpecialTokensMatch) { expect_same_bare_ids(tokenizer, cases); }

TEST_P(TokenizerGolden, OffsetsMatch) {
  for (const Case& one : cases) {
    const Encoding encoding = tokenizer.encode(one.text, SpecialTokens::kAdd);
    EXPECT_EQ(interleave(encoding), one.offsets) << one.text;
  }
}

TEST_P(TokenizerGolden, DecodedTextMatches) {
  for (const Case& one : cases) {
    EXPECT_EQ(tokenizer.decode(one.ids, SpecialOutput::kKeep), one.kept) << one.text;
    EXPECT_EQ(tokenizer.decode(one.ids, SpecialOutput::kSkip), one.skipped) << one.text;
  }
}

TEST_P(TokenizerGolden, StreamedTextIsTheDecodedText) {
  for (const Case& one : cases) {
    StreamDecoder stream(tokenizer, SpecialOutput::kKeep);
    std::string text;
    for (const int32_t id : one.ids) text += stream.push(id);
    text += stream.finish();
    EXPECT_EQ(text, one.kept) << one.text;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, TokenizerGolden,
                         ::testing::Values("llama3", "qwen", "smollm", "roberta", "deepseek", "spm",
                                           "metaspace", "metaspace_split", "gemma", "wordish",
                                           "clip", "whitespace"),
                         [](const auto& family) { return family.param; });

TEST(Tokenizer, MatchesOnTheRealSmolLm2) {
  const fs::path model = fs::path(RUNG_SOURCE_DIR) / "models" / "smollm2-135m-instruct";
  if (!fs::exists(model / "tokenizer.json")) GTEST_SKIP() << "no model in " << model;
  const Tokenizer tokenizer = Tokenizer::load(model);
  for (const Case& one : read_cases("smollm2")) {
    const Encoding encoding = tokenizer.encode(one.text, SpecialTokens::kAdd);
    EXPECT_EQ(encoding.ids, one.ids) << one.text;
    EXPECT_EQ(interleave(encoding), one.offsets) << one.text;
    EXPECT_EQ(tokenizer.decode(one.ids, SpecialOutput::kKeep), one.kept) << one.text;
    EXPECT_EQ(tokenizer.decode(one.ids, SpecialOutput::kSkip), one.skipped) << one.text;
  }
}

TEST(Tokenizer, NamesOfSpecialTokensComeFromTheConfiguration) {
  const Tokenizer tokenizer = Tokenizer::load(kGolden / "qwen");
  EXPECT_EQ(tokenizer.eos_token(), "<|im_end|>");
  EXPECT_EQ(tokenizer.eos_id(), tokenizer.token_to_id("<|im_end|>"));
  EXPECT_EQ(tokenizer.pad_id(), tokenizer.token_to_id("<|endoftext|>"));
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.bos_token(), "");
}

TEST(Tokenizer, IdsAndTokensAreInverse) {
  const Tokenizer tokenizer = Tokenizer::load(kGolden / "smollm");
  int32_t num_tokens = 0;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string token = tokenizer.id_to_token(id);
    ASSERT_FALSE(token.empty()) << id;
    EXPECT_EQ(tokenizer.token_to_id(token), id) << token;
    ++num_tokens;
  }
  EXPECT_GT(num_tokens, 700);
}

TEST(Tokenizer, UnknownIdsAreEmpty) {
  const Tokenizer tokenizer = Tokenizer::load(kGolden / "smollm");
  EXPECT_EQ(tokenizer.id_to_token(-1), "");
  EXPECT_EQ(tokenizer.id_to_token(1 << 30), "");
  const std::vector<int32_t> ids = {-1, 1 << 30};
  EXPECT_EQ(tokenizer.decode(ids, SpecialOutput::kKeep), "");
}

TEST(Tokenizer, VocabularySizeCountsHoles) {
  EXPECT_EQ(Tokenizer::load(kGolden / "llama3").vocab_size(), 2001);
}

TEST(Tokenizer, InvalidUtf8IsRefusedWithItsPlace) {
  const Tokenizer tokenizer = Tokenizer::load(kGolden / "smollm");
  for (const std::string text : {"abc\xff", "abc\xed\xa0\x80", "abc\xc3"}) {
    rung::testing::expect_error(ExitCode::kConfig, "at offset 3",
                                [&] { tokenizer.encode(text, SpecialTokens::kAdd); });
  }
}

TEST(Tokenizer, AnAbsentFileIsNamed) {
  rung::testing::expect_error(ExitCode::kConfig, "tokenizer.json",
                              [] { Tokenizer::load("/nonexistent"); });
}

}  // namespace
}  // namespace rung::text
