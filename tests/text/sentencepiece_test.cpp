// tokenizer.model against what transformers' LlamaTokenizer makes of the same files and texts
// (scripts/make_sentencepiece_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/text/any_tokenizer.h"
#include "text/chat_template.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(RUNG_TEST_DATA) / "golden" / "sentencepiece";
constexpr std::string_view kMark = "\u2581";

using Ids = std::vector<int32_t>;

struct Case {
  std::string text;
  Ids ids;
  Ids bare_ids;  // without special tokens
  std::vector<std::string> tokens;
  std::string skipped;
};

std::vector<Case> read_cases(const std::string& family) {
  std::vector<Case> cases;
  for (const Json& entry : read_json_file(kGolden / family / "expected.json")) {
    cases.push_back({.text = entry["text"],
                     .ids = entry["ids"],
                     .bare_ids = entry["bare_ids"],
                     .tokens = entry["tokens"],
                     .skipped = entry["skipped"]});
  }
  return cases;
}

std::string with_spaces(std::string text) {
  for (size_t at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at)) {
    text.replace(at, kMark.size(), " ");
  }
  return text;
}

std::string without_spaces(std::string text) {
  std::erase(text, ' ');
  return text;
}

std::string behind_spaces(const std::string& text) {
  return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

// Added tokens of the golden files that are not special.
const std::set<std::string> kPlainTokens = {"word", "<tool>", "<|im|>", "\n\n\n", "[plain]"};

class SentencePieceGolden : public ::testing::TestWithParam<std::string> {
 protected:
  SentencePieceGolden() : tokenizer(Tokenizer::load(kGolden / GetParam())) {}

  // transformers takes a single space before a special token for the prefix space.
  bool takes_first_space(const std::string& text) const {
    return GetParam() == "bpe_no_prefix" && text.starts_with(" <");
  }
  Tokenizer tokenizer;
  std::vector<Case> cases = read_cases(GetParam());
};

// Those that replace no text and drop no spaces.
class SentencePieceVerbatim : public SentencePieceGolden {};

TEST_P(SentencePieceGolden, IdsMatch) { expect_same_ids(tokenizer, cases); }

TEST_P(SentencePieceGolden, IdsWithoutSpecialTokensMatch) {
  expect_same_bare_ids(tokenizer, cases);
}

TEST_P(SentencePieceGolden, TokensOfIdsMatch) {
  for (const Case& one : cases) {
    ASSERT_EQ(one.ids.size(), one.tokens.size());
    for (size_t i = 0; i < one.ids.size(); ++i) {
      EXPECT_EQ(tokenizer.id_to_token(one.ids[i]), one.tokens[i]) << one.text;
      EXPECT_EQ(tokenizer.token_to_id(one.tokens[i]), one.ids[i]) << one.text;
    }
  }
}

// transformers puts spaces around added tokens, and may lose one at the start or print it as
// U+2581.
TEST_P(SentencePieceGolden, DecodedTextMatches) {
  for (const Case& one : cases) {
    const std::string text = tokenizer.decode(one.ids, SpecialOutput::kSkip);
    const bool has_added = std::any_of(one.ids.begin(), one.ids.end(), [&](int32_t id) {
      return kPlainTokens.contains(tokenizer.id_to_token(id));
    });
    const bool starts_with_space = text.starts_with(' ') || one.skipped.starts_with(kMark);
    if (has_added) {
      EXPECT_EQ(without_spaces(text), without_spaces(one.skipped)) << one.text;
    } else if (starts_with_space) {
      EXPECT_EQ(behind_spaces(text), behind_spaces(with_spaces(one.skipped))) << one.text;
    } else {
      EXPECT_EQ(text, one.skipped) << one.text;
    }
  }
}

// With all tokens kept, decoding gives the text back.
TEST_P(SentencePieceVerbatim, DecodingInvertsEncoding) {
  int compared = 0;
  for (const Case& one : cases) {
    const bool is_changed = one.text.find(kMark) != std::string::npos ||      // a space
                            one.text.find("<left>") != std::string::npos ||   // takes spaces
                            one.text.find("<right>") != std::string::npos ||  // takes spaces
                            takes_first_space(one.text);
    if (is_changed) continue;
    EXPECT_EQ(tokenizer.decode(one.bare_ids, SpecialOutput::kKeep), one.text);
    ++compared;
  }
  EXPECT_GT(compared, 80);
}

TEST_P(SentencePieceGolden, StreamedTextIsTheDecodedText) {
  for (const SpecialOutput special : {SpecialOutput::kKeep, SpecialOutput::kSkip}) {
    for (const Case& one : cases) {
      StreamDecoder stream(tokenizer, special);
      std::string text;
      for (const int32_t id : one.ids) text += stream.push(id);
      text += stream.finish();
      EXPECT_EQ(text, tokenizer.decode(one.ids, special)) << one.text;
    }
  }
}

// What has been decoded never changes when more tokens come, half a character aside.
TEST_P(SentencePieceGolden, DecodedTextGrowsAtItsEnd) {
  for (const Case& one : cases) {
    std::string before;
    for (size_t count = 1; count <= one.ids.size(); ++count) {
      const std::span<const int32_t> ids = std::span(one.ids).first(count);
      const std::string text = tokenizer.decode(ids, SpecialOutput::kKeep);
      if (tokenizer.waits_behind(ids.back())) continue;
      EXPECT_TRUE(text.starts_with(before)) << one.text;
      before = text;
    }
  }
}

TEST_P(SentencePieceGolden, OffsetsAreWholeCharactersInOrder) {
  for (const Case& one : cases) {
    const Encoding encoding = tokenizer.encode(one.text, SpecialTokens::kOmit);
    int32_t before = 0;
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      const auto begin = static_cast<size_t>(encoding.begins[i]);
      const auto end = static_cast<size_t>(encoding.ends[i]);
      ASSERT_LE(before, encoding.begins[i]) << one.text;
      ASSERT_LT(begin, end) << one.text;
      ASSERT_LE(end, one.text.size()) << one.text;
      EXPECT_FALSE(is_continuation_byte(one.text[begin])) << one.text;
      EXPECT_TRUE(end == one.text.size() || !is_continuation_byte(one.text[end])) << one.text;
      before = encoding.begins[i];
    }
  }
}

// Where nothing is replaced, a piece stands for its own text, but for a space put before it.
TEST_P(SentencePieceVerbatim, OffsetsAreWhereThePieceStands) {
  for (const Case& one : cases) {
    const Encoding encoding = tokenizer.encode(one.text, SpecialTokens::kOmit);
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      if (tokenizer.waits_behind(encoding.ids[i])) continue;
      const auto begin = static_cast<size_t>(encoding.begins[i]);
      const std::string source =
          with_spaces(one.text.substr(begin, static_cast<size_t>(encoding.ends[i]) - begin));
      const std::string piece = with_spaces(tokenizer.id_to_token(encoding.ids[i]));
      const bool prefix_alone = piece == " ";
      EXPECT_TRUE(prefix_alone || source == piece || " " + source == piece ||
                  source.find(piece) != std::string::npos)  // with white space of <left>, <right>
          << one.text << ": " << piece << " from \"" << source << "\"";
    }
  }
}

TEST_P(SentencePieceVerbatim, OffsetsLeaveNothingOut) {
  for (const Case& one : cases) {
    const Encoding encoding = tokenizer.encode(one.text, SpecialTokens::kOmit);
    int32_t covered = takes_first_space(one.text) ? 1 : 0;
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      EXPECT_LE(encoding.begins[i], covered) << one.text;
      covered = std::max(covered, encoding.ends[i]);
    }
    EXPECT_EQ(covered, static_cast<int32_t>(one.text.size())) << one.text;
  }
}

std::string name_of(const ::testing::TestParamInfo<std::string>& family) { return family.param; }

INSTANTIATE_TEST_SUITE_P(Families, SentencePieceGolden,
                         ::testing::Values("bpe_legacy", "bpe", "bpe_old", "bpe_no_prefix",
                                           "unigram", "unigram_rules"),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Families, SentencePieceVerbatim,
                         ::testing::Values("bpe_legacy", "bpe", "bpe_old", "bpe_no_prefix",
                                           "unigram"),
                         name_of);

}  // namespace
}  // namespace rung::text
