#include "text/stream_decoder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/unicode.h"

namespace rung::text {
namespace {

Tokenizer load(const std::string& family) {
  return Tokenizer::load(std::string(RUNG_TEST_DATA) + "/golden/tokenizer/" + family);
}

// What comes out for each id, then at the end.
std::vector<std::string> stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamDecoder decoder(tokenizer, SpecialOutput::kSkip);
  std::vector<std::string> texts;
  for (const int32_t id : ids) texts.push_back(decoder.push(id));
  texts.push_back(decoder.finish());
  return texts;
}

TEST(StreamDecoder, HalfACharacterWaits) {
  const Tokenizer tokenizer = load("smollm");
  // U+1F9FF in its four bytes: not in the corpus that the vocabulary is from.
  const std::vector<int32_t> ids = tokenizer.encode("\U0001f9ff!", SpecialTokens::kAdd).ids;
  ASSERT_GT(ids.size(), 2u);
  std::string text;
  for (const std::string& part : stream(tokenizer, ids)) {
    EXPECT_FALSE(find_invalid_utf8(part));
    EXPECT_EQ(part.find("\ufffd"), std::string::npos);
    text += part;
  }
  EXPECT_EQ(text, "\U0001f9ff!");
}

TEST(StreamDecoder, SpacesBetweenTokensStay) {
  const Tokenizer tokenizer = load("spm");
  const std::vector<int32_t> ids = {*tokenizer.token_to_id("\u2581the"),
                                    *tokenizer.token_to_id("\u2581the")};
  EXPECT_EQ(stream(tokenizer, ids), (std::vector<std::string>{"the", " the", ""}));
}

TEST(StreamDecoder, ASpecialTokenIsNoContext) {
  const Tokenizer tokenizer = load("spm");
  const std::vector<int32_t> ids = {*tokenizer.token_to_id("<s>"),
                                    *tokenizer.token_to_id("\u2581the"),
                                    *tokenizer.token_to_id("\u2581the")};
  EXPECT_EQ(stream(tokenizer, ids), (std::vector<std::string>{"", "the", " the", ""}));
}

TEST(StreamDecoder, BytesThatMakeNoCharacterComeOutInTheEnd) {
  const Tokenizer tokenizer = load("smollm");
  const std::vector<int32_t> ids = {*tokenizer.token_to_id("\u00c3")};  // the byte 0xC3
  EXPECT_EQ(stream(tokenizer, ids), (std::vector<std::string>{"", "\ufffd"}));
}

TEST(StreamDecoder, BytesThatMakeNoCharacterAreNotHeldForever) {
  const Tokenizer tokenizer = load("smollm");
  const std::vector<int32_t> ids(200, *tokenizer.token_to_id("\u00c3"));
  const std::vector<std::string> texts = stream(tokenizer, ids);
  EXPECT_EQ(texts[0], "");
  EXPECT_NE(texts[64], "");
}

}  // namespace
}  // namespace rung::text
