// What a folder with a tokenizer.model may ask for, and how refusals read.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/text/any_tokenizer.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "text/tokenizer/sentencepiece_model.h"

namespace rung::text {
namespace {

namespace fs = std::filesystem;

using Ids = std::vector<int32_t>;
using PieceType = SentencePieceModel::PieceType;
using testing::expect_error;
using testing::TempDir;

// a, b, ab with and without the mark; neither replacements nor byte pieces.
SentencePieceModel small_model() {
  SentencePieceModel model;
  model.type = SentencePieceModel::Type::kBpe;
  model.remove_extra_whitespaces = false;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},    {"<s>", 0, PieceType::kControl},
                  {"</s>", 0, PieceType::kControl},     {"ab", -1, PieceType::kNormal},
                  {"\u2581ab", -2, PieceType::kNormal}, {"\u2581", -3, PieceType::kNormal},
                  {"a", -4, PieceType::kNormal},        {"b", -5, PieceType::kNormal}};
  return model;
}

// A folder that holds `model` and `config`.
class Folder {
 public:
  explicit Folder(const std::string& model, const Json& config = Json::object()) {
    dir.write("tokenizer.model", model);
    dir.write("tokenizer_config.json", config.dump());
  }
  explicit Folder(const SentencePieceModel& model, const Json& config = Json::object())
      : Folder(to_bytes(model), config) {}

  Tokenizer load() const { return Tokenizer::load(dir.path()); }

  TempDir dir;
};

Ids encode(const Json& config, const std::string& text) {
  return Folder(small_model(), config).load().encode(text, SpecialTokens::kAdd).ids;
}

void expect_refused(const std::string& model, ExitCode code, const std::string& words) {
  const Folder folder(model);
  expect_error(code, words, [&] { folder.load(); });
  expect_error(code, "tokenizer.model", [&] { folder.load(); });
}

// The bytes of one field of wire type 2.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

TEST(SentencePieceLoad, LegacyPutsASpaceBeforeEveryPart) {
  EXPECT_EQ(encode({{"legacy", true}}, "ab<s>ab"), (Ids{1, 4, 1, 4}));
}

TEST(SentencePieceLoad, NewerTokenizersPutOneBeforeTheText) {
  EXPECT_EQ(encode({{"legacy", false}}, "ab<s>ab"), (Ids{1, 4, 1, 3}));
}

TEST(SentencePieceLoad, LegacyIsTheDefault) {
  EXPECT_EQ(encode(Json::object(), "ab<s>ab"), (Ids{1, 4, 1, 4}));
}

TEST(SentencePieceLoad, NullIsFalseAsInPython) {
  EXPECT_EQ(encode({{"legacy", false}, {"add_prefix_space", nullptr}}, "ab"), (Ids{1, 3}));
  EXPECT_EQ(encode({{"add_bos_token", nullptr}}, "ab"), (Ids{4}));
}

TEST(SentencePieceLoad, BosAndEosAreAddedAsTheConfigurationSays) {
  EXPECT_EQ(encode({{"add_bos_token", false}, {"add_eos_token", true}}, "ab"), (Ids{4, 2}));
  EXPECT_EQ(encode({{"bos_token", nullptr}}, "ab"), (Ids{4}));
}

TEST(SentencePieceLoad, NamesHaveDefaults) {
  const Tokenizer tokenizer = Folder(small_model()).load();
  EXPECT_EQ(tokenizer.bos_token(), "<s>");
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.unk_token(), "<unk>");
  EXPECT_EQ(tokenizer.pad_id(), std::nullopt);
  EXPECT_EQ(tokenizer.vocab_size(), 8);
}

TEST(SentencePieceLoad, ANamedTokenWithoutAnIdGetsTheNextOne) {
  const Json config = {{"pad_token", "[PAD]"},
                       {"added_tokens_decoder", {{"8", {{"content", "<x>"}, {"special", true}}}}}};
  const Tokenizer tokenizer = Folder(small_model(), config).load();
  EXPECT_EQ(tokenizer.pad_id(), 9);
  EXPECT_EQ(tokenizer.id_to_token(8), "<x>");
  EXPECT_EQ(tokenizer.vocab_size(), 10);
}

TEST(SentencePieceLoad, APieceHasTheIdOfTheAddedTokenOfItsText) {
  const Json config = {{"added_tokens_decoder", {{"8", {{"content", "\u2581ab"}}}}}};
  EXPECT_EQ(encode(config, "ab"), (Ids{1, 8}));
}

TEST(SentencePieceLoad, UnknownCharactersAreOneToken) {
  const Tokenizer tokenizer = Folder(small_model()).load();
  const Encoding encoding = tokenizer.encode("ab\u00e9\u00e9b", SpecialTokens::kOmit);
  EXPECT_EQ(encoding.ids, (Ids{4, 0, 7}));
  EXPECT_EQ(encoding.begins, (Ids{0, 2, 6}));
  EXPECT_EQ(encoding.ends, (Ids{2, 6, 7}));
}

TEST(SentencePieceLoad, APrefixSpaceStandsForTheFirstCharacter) {
  const Encoding encoding = Folder(small_model()).load().encode("\u00e9", SpecialTokens::kOmit);
  EXPECT_EQ(encoding.ids, (Ids{5, 0}));
  EXPECT_EQ(encoding.begins, (Ids{0, 0}));
  EXPECT_EQ(encoding.ends, (Ids{2, 2}));
}

TEST(SentencePieceLoad, OffsetsAreThoseOfTheTextGiven) {
  const Tokenizer tokenizer = Folder(small_model(), {{"legacy", false}}).load();
  // The mark, three bytes, is read as a space, one byte.
  const Encoding encoding = tokenizer.encode("b\u2581ab</s>b", SpecialTokens::kOmit);
  EXPECT_EQ(encoding.ids, (Ids{5, 7, 4, 2, 7}));
  EXPECT_EQ(encoding.begins, (Ids{0, 0, 1, 6, 10}));
  EXPECT_EQ(encoding.ends, (Ids{1, 1, 6, 10, 11}));
}

TEST(SentencePieceLoad, TokenizerJsonComesFirst) {
  const Folder folder(small_model());
  folder.dir.write("tokenizer.json",
                   R"({"model": {"type": "BPE", "vocab": {"z": 0}, "merges": []}})");
  EXPECT_EQ(folder.load().vocab_size(), 1);
}

TEST(SentencePieceLoad, ChatTemplatesGetTheNames) {
  const Folder folder(small_model(),
                      {{"chat_template", "{{ bos_token }}{{ messages[0].content }}"}});
  const Tokenizer tokenizer = folder.load();
  const ChatContext context{.bos_token = tokenizer.bos_token(), .eos_token = tokenizer.eos_token()};
  const RenderedChat chat = ChatTemplate::from_model(folder.dir.path())
                                .render({{{"role", "user"}, {"content", "ab"}}}, false, context);
  EXPECT_EQ(tokenizer.encode(chat.text, SpecialTokens::kOmit).ids, (Ids{1, 4}));
}

TEST(SentencePieceLoad, OtherFilesOfTheNameAreNamed) {
  expect_refused(R"({"config": {"pattern": "x"}, "vocab": []})", ExitCode::kConfig, "tekken");
  expect_refused("IQ== 0\nIg== 1\n", ExitCode::kConfig, "tiktoken");
  expect_refused("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", ExitCode::kConfig,
                 "Git LFS pointer");
}

TEST(SentencePieceLoad, OtherTokenizersOfAFolderAreNamed) {
  for (const std::string name : {"tekken.json", "tokenizer.model.v3", "spiece.model",
                                 "sentencepiece.bpe.model", "original/tokenizer.model"}) {
    const TempDir folder;
    folder.write(name, "x");
    expect_error(ExitCode::kConfig, "in the form of " + name,
                 [&] { Tokenizer::load(folder.path()); });
  }
}

TEST(SentencePieceLoad, AFolderWithoutATokenizerIsRefused) {
  const TempDir folder;
  expect_error(ExitCode::kConfig, "tokenizer.json, or tokenizer.model",
               [&] { Tokenizer::load(folder.path()); });
}

TEST(SentencePieceLoad, OtherClassesAreRefused) {
  const Folder folder(small_model(), {{"tokenizer_class", "GemmaTokenizer"}});
  expect_error(ExitCode::kConfig, "the tokenizer class GemmaTokenizer", [&] { folder.load(); });
}

TEST(SentencePieceLoad, SamplingIsRefused) {
  const Folder folder(small_model(), {{"sp_model_kwargs", {{"enable_sampling", true}}}});
  expect_error(ExitCode::kConfig, "sp_model_kwargs", [&] { folder.load(); });
}

TEST(SentencePieceLoad, OtherModelsAreRefused) {
  const std::string model = to_bytes(small_model());
  expect_refused(model + field(2, "\x18\x03"), ExitCode::kConfig, "WORD");
  expect_refused(model + field(2, "\x18\x04"), ExitCode::kConfig, "CHAR");
  expect_refused(model + field(2, "\xc0\x01\x01"), ExitCode::kConfig, "treat_whitespace_as_suffix");
  expect_refused(model + field(3, std::string("\x28\x00", 2)), ExitCode::kConfig,
                 "escape_whitespaces");
  expect_refused(model + field(5, "\x12\x01x"), ExitCode::kConfig, "denormalizer_spec");
}

TEST(SentencePieceLoad, WhatIsNotReadIsPassedOver) {
  // A field 100 of each wire type, self_test_data, an empty denormalizer_spec.
  const std::string tail = std::string("\xa0\x06\x05", 3) + "\xa1\x06" + "12345678" +
                           "\xa2\x06\x01x" + "\xa5\x06" + "1234" + field(4, "x") + field(5, "");
  EXPECT_EQ(Folder(to_bytes(small_model()) + tail).load().vocab_size(), 8);
}

TEST(SentencePieceLoad, DamageIsSaid) {
  const auto with = [](const std::string& text, PieceType type) {
    SentencePieceModel model = small_model();
    model.pieces.push_back({text, 0, type});
    return to_bytes(model);
  };
  const ExitCode damaged = ExitCode::kDamaged;
  expect_refused("", damaged, "no pieces");
  expect_refused(with("ab", PieceType::kNormal), damaged, "\"ab\" twice");
  expect_refused(with("", PieceType::kNormal), damaged, "piece 8 without text");
  expect_refused(with("\xff", PieceType::kNormal), damaged, "piece 8 that is no text");
  expect_refused(with(std::string("a\0b", 3), PieceType::kNormal), damaged, "piece 8");
  expect_refused(with(std::string(2000, 'a'), PieceType::kNormal), damaged, "2000 bytes");
  expect_refused(with("c", static_cast<PieceType>(7)), damaged, "piece 8 of type 7");
  expect_refused(with("<0x41>", PieceType::kByte), damaged, "byte_fallback");
  expect_refused(with("<other>", PieceType::kUnknown), damaged, "unk is already defined");
  expect_refused(to_bytes(small_model()) + "\x0b", damaged, "wire type 3");
  expect_refused(to_bytes(small_model()) + "\x0a\x7f", damaged, "127 bytes where 0 are left");
  SentencePieceModel model = small_model();
  model.pieces[0].type = PieceType::kNormal;
  expect_refused(to_bytes(model), damaged, "unk is not defined");
}

TEST(SentencePieceLoad, DamagedSettingsAreNamed) {
  const auto expect_damaged = [](const Json& config, const std::string& words) {
    const Folder folder(small_model(), config);
    expect_error(ExitCode::kDamaged, words, [&] { folder.load(); });
  };
  expect_damaged({{"legacy", "yes"}}, "legacy");
  expect_damaged({{"added_tokens_decoder", {{"x", {{"content", "y"}}}}}}, "not \"x\"");
  expect_damaged({{"added_tokens_decoder", {{"99999999", {{"content", "y"}}}}}}, "99999999");
  expect_damaged({{"added_tokens_decoder", Json::array()}}, "an object of id to token");
  expect_damaged({{"bos_token", 1}}, "bos_token");
  expect_damaged(Json::array(), "tokenizer_config.json");
}

TEST(SentencePieceLoad, ThreadsMayEncodeAtOnce) {
  expect_threads_may_encode(std::string(RUNG_TEST_DATA) + "/golden/sentencepiece/unigram");
}

}  // namespace
}  // namespace rung::text
