// Damaged tokenizer.model files: an Error or a tokenizer that works, never a crash.
#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "tests/support/expect_error.h"
#include "tests/support/mutate.h"
#include "tests/support/temp_dir.h"
#include "tests/text/any_tokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer/charsmap.h"
#include "text/tokenizer/sentencepiece_model.h"

namespace rung::text {
namespace {

const std::vector<std::string> kTexts = {
    "", " Hello  world\n\n",
    "caf\u00e9 e\u0301 \u4f60\u597d \U0001f600 <s></s>  [INST]x \ufb01\u3318",
    std::string("a\0b", 3) + std::string(70, ' ') + "\u2581 the quick brown fox"};

void try_model(const std::string& model, const std::string& config) {
  const testing::TempDir folder;
  folder.write("tokenizer.model", model);
  folder.write("tokenizer_config.json", config);
  try_tokenizer(folder.path(), kTexts);
}

class SentencePieceDamage : public ::testing::TestWithParam<std::string> {
 protected:
  std::string file = read_text_file(std::filesystem::path(RUNG_TEST_DATA) / "golden" /
                                        "sentencepiece" / GetParam() / "tokenizer.model",
                                    1 << 20);
};

TEST_P(SentencePieceDamage, AShortenedFileIsDamaged) {
  for (size_t size = 0; size < file.size(); size += size + 200 < file.size() ? 37 : 1) {
    const testing::TempDir folder;
    folder.write("tokenizer.model", file.substr(0, size));
    testing::expect_error(ExitCode::kDamaged, "tokenizer.model",
                          [&] { Tokenizer::load(folder.path()); });
  }
}

TEST_P(SentencePieceDamage, ChangedBytesNeverCrash) {
  for (uint64_t number = 0; number < 300; ++number) {
    SCOPED_TRACE(number);
    try_model(testing::mutate(file, number), number % 2 == 0 ? "{}" : R"({"legacy": false})");
  }
}

// What has been read and is written anew passes more often than changed bytes do.
TEST_P(SentencePieceDamage, ChangedPiecesNeverCrash) {
  using PieceType = SentencePieceModel::PieceType;
  const SentencePieceModel whole = read_sentencepiece_model(file, "tokenizer.model");
  for (uint64_t number = 0; number < 150; ++number) {
    const CounterRandom random(number, stream_of("pieces"));
    SentencePieceModel model = whole;
    uint64_t draw = 0;
    for (int edit = 0; edit < 40; ++edit) {
      auto& piece = model.pieces[random.below(draw++, model.pieces.size())];
      auto& other = model.pieces[random.below(draw++, model.pieces.size())];
      switch (random.below(draw++, 4)) {
        case 0:
          piece.type = static_cast<PieceType>(1 + random.below(draw++, 6));
          break;
        case 1:
          std::swap(piece.text, other.text);
          break;
        case 2:
          piece.score = random.below(draw++, 2) == 0 ? 1e38F : -1e38F;
          break;
        default:
          piece.text += other.text;
      }
    }
    SCOPED_TRACE(number);
    try_model(to_bytes(model), number % 2 == 0 ? "{}" : R"({"legacy": false})");
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SentencePieceDamage,
                         ::testing::Values("bpe_old", "unigram", "unigram_rules"),
                         [](const auto& family) { return family.param; });

TEST(SentencePieceDamage, RandomFilesNeverCrash) {
  for (uint64_t number = 0; number < 300; ++number) {
    const CounterRandom random(number, stream_of("file"));
    std::string model;
    for (uint64_t i = 0; i < number; ++i) model += static_cast<char>(random.below(i, 256));
    SCOPED_TRACE(number);
    try_model(model, "{}");
    try_model("\x0a" + model, "{}");
  }
}

// --- character maps

std::string u32(uint32_t value) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

// A trie of one block, all units but those set unused, and one replacement.
class Trie {
 public:
  Trie() : units_(256, 0x80000000U) {}

  // The node whose children stand at base ^ byte; `byte` leads here.
  Trie& node(uint32_t at, uint32_t base, uint32_t byte, bool is_key = false) {
    units_[at] = (at ^ base) << 10 | (is_key ? 1U << 8 : 0U) | byte;
    return *this;
  }

  std::string map(const std::string& replacements = std::string("x\0", 2)) const {
    std::string bytes = u32(static_cast<uint32_t>(4 * units_.size()));
    for (const uint32_t unit : units_) bytes += u32(unit);
    return bytes + replacements;
  }

 private:
  std::vector<uint32_t> units_;
};

void expect_damaged(const std::string& map, const std::string& words) {
  testing::expect_error(ExitCode::kDamaged, words, [&] { check_charsmap(map, "tokenizer.model"); });
}

TEST(Charsmap, OneKeyIsSound) {
  const Trie trie = Trie().node(0, 128, 0).node(128 ^ 'a', 64, 'a', true);
  EXPECT_EQ(check_charsmap(trie.map(std::string("ab\0xyz\0", 7)), ""), 3u);
}

TEST(Charsmap, ANodeOutsideIsRefused) {
  expect_damaged(Trie().node(0, 1U << 20, 0).map(), "a node points outside");
  expect_damaged(Trie().node(0, 128, 0).node(128 ^ 'a', 256, 'a').map(), "a node points outside");
}

TEST(Charsmap, ARingIsRefused) {
  expect_damaged(Trie().node(0, 128, 0).node(128 ^ 'a', 128, 'a', true).map(), "ring");
}

TEST(Charsmap, MoreKeysOnAPathThanThereIsRoomForAreRefused) {
  // a, aa, aaa, ...: the node of each is found at its parent's base ^ 'a'.
  const auto chain = [](uint32_t length) {
    Trie trie;
    trie.node(0, 128, 0);
    for (uint32_t i = 0; i < length; ++i) trie.node((128 + i) ^ 'a', 129 + i, 'a', true);
    return trie.map();
  };
  EXPECT_EQ(check_charsmap(chain(32), ""), 1u);
  expect_damaged(chain(33), "too many keys");
}

TEST(Charsmap, SizesThatDoNotFitAreRefused) {
  const std::string map = Trie().node(0, 128, 0).map();
  expect_damaged("", "cut short");
  expect_damaged(map.substr(0, 4 + 1024), "its trie has 1024 bytes");
  expect_damaged(u32(1000) + map.substr(4), "its trie has 1000 bytes");
  expect_damaged(u32(0xfffffc00U) + map.substr(4), "its trie has");
  expect_damaged(map.substr(0, map.size() - 1), "no end");
  expect_damaged(Trie().node(0, 128, 0).map(std::string(5000, 'x') + std::string(1, '\0')),
                 "longer than 4 KiB");
}

}  // namespace
}  // namespace rung::text
