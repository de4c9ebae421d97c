// Damaged tokenizer files: an Error or a tokenizer that works, never a crash.
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "tests/support/temp_dir.h"
#include "tests/text/any_tokenizer.h"
#include "text/tokenizer.h"

namespace rung::text {
namespace {

const std::vector<std::string> kTexts = {
    "", " Hello  world\n\n", "caf\u00e9 e\u0301 \u4f60\u597d \U0001f600 <s></s>  <|im_start|>x",
    std::string("a\0b", 3) + std::string(70, ' ')};

void try_file(const std::string& file) {
  const testing::TempDir folder;
  folder.write("tokenizer.json", file);
  try_tokenizer(folder.path(), kTexts);
}

using Random = std::mt19937_64;

size_t below(size_t limit, Random& random) { return static_cast<size_t>(random()) % limit; }

// A node somewhere in `root`; the deeper, the rarer.
Json& pick(Json& root, Random& random) {
  Json* node = &root;
  while (node->is_structured() && !node->empty() && below(6, random) != 0) {
    auto child = node->begin();
    std::advance(child, static_cast<std::ptrdiff_t>(below(node->size(), random)));
    node = &*child;
  }
  return *node;
}

Json replacement(Json& root, Random& random) {
  const std::vector<Json> values = {nullptr,
                                    true,
                                    false,
                                    0,
                                    -1,
                                    1e300,
                                    4294967296,
                                    "",
                                    "\u0120",
                                    "A",
                                    "a b c",
                                    "BPE",
                                    "Sequence",
                                    "ByteLevel",
                                    "<0x41>",
                                    Json::array(),
                                    Json::object(),
                                    {{"type", "Fuse"}},
                                    {{"String", "e"}},
                                    {{"Regex", "(?=a)|\\s*"}},
                                    {{"type", "ByteFallback"}},
                                    {{"type", "NFKC"}}};
  const size_t choice = below(values.size() + 4, random);
  return choice < values.size() ? values[choice] : pick(root, random);
}

class TokenizerDamage : public ::testing::TestWithParam<std::string> {
 protected:
  std::string file = read_text_file(std::filesystem::path(RUNG_TEST_DATA) / "golden" / "tokenizer" /
                                        GetParam() / "tokenizer.json",
                                    1 << 20);
};

TEST_P(TokenizerDamage, ReplacedValuesNeverCrash) {
  Random random(11);
  const Json whole = Json::parse(file);
  for (int round = 0; round < 150; ++round) {
    Json damaged = whole;
    const size_t changes = 1 + below(3, random);
    for (size_t i = 0; i < changes; ++i) {
      Json value = replacement(damaged, random);
      pick(damaged, random) = std::move(value);
    }
    SCOPED_TRACE(round);
    try_file(damaged.dump());
  }
}

TEST_P(TokenizerDamage, ReplacedBytesNeverCrash) {
  Random random(12);
  for (int round = 0; round < 150; ++round) {
    std::string damaged = file;
    for (size_t i = 0; i < 3; ++i) {
      // Most of a file is vocabulary: its first and last part, where the options are, get half.
      const size_t place = below(2, random) == 0
                               ? below(std::min<size_t>(3000, file.size()), random)
                               : below(file.size(), random);
      damaged[place] = "0129\"{}[],:aeg \\\xc3"[below(17, random)];
    }
    SCOPED_TRACE(round);
    try_file(damaged);
  }
}

TEST_P(TokenizerDamage, AShortenedFileIsRefused) {
  Random random(13);
  for (int round = 0; round < 20; ++round) {
    const testing::TempDir folder;
    folder.write("tokenizer.json", file.substr(0, below(file.size(), random)));
    EXPECT_THROW(Tokenizer::load(folder.path()), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, TokenizerDamage,
                         ::testing::Values("llama3", "qwen", "spm", "wordish", "clip", "roberta"),
                         [](const auto& family) { return family.param; });

}  // namespace
}  // namespace rung::text
