#include "model/generation.h"

#include <cmath>
#include <vector>

#include "tests/support/counting.h"
#include "tests/support/tiny_transformer.h"

namespace rung::model {
namespace {

using rung::testing::TinyFolder;

class Generate : public ::testing::Test {
 protected:
  std::vector<TokenIds> answers(const GenerationOptions& options) {
    return generate(model_, prompts_, options);
  }

  const std::vector<TokenIds> prompts_ = {{3, 1, 4}, {15}, {9, 2, 6, 5, 35, 8, 9}, {7, 9, 32}};
  TinyFolder folder_{rung::testing::tiny_llama()};
  Transformer model_{
      folder_.config(), &folder_.folder(), {.base = BaseFormat::kDense, .max_positions = 128}};
};

TEST_F(Generate, ContinuesEachPromptAsItDoesAlone) {
  const std::vector<TokenIds> together = answers({.max_new_tokens = 9});
  for (size_t i = 0; i < prompts_.size(); ++i) {
    EXPECT_EQ(generate(model_, {prompts_[i]}, {.max_new_tokens = 9}).front(), together[i]) << i;
  }
}

TEST_F(Generate, AnswersInWavesWhereTheCachesDoNotFitTogether) {
  const std::vector<TokenIds> expected = answers({.max_new_tokens = 9});
  const int64_t token = cache_bytes_per_token(model_);
  for (const int64_t tokens : {1, 13, 27, 40}) {
    EXPECT_EQ(answers({.max_new_tokens = 9, .max_cache_bytes = tokens * token}), expected)
        << tokens;
  }
}

TEST_F(Generate, WavesBoundTheCaches) {
  const int64_t token = cache_bytes_per_token(model_);
  const auto peak = [&](int64_t max_cache_bytes) {
    const auto taken = rung::testing::taken_by(memory::cpu_counter(), [&] {
      answers({.max_new_tokens = 50, .max_cache_bytes = max_cache_bytes});
    });
    return taken.at_peak[static_cast<size_t>(memory::Component::kKvCache)];
  };
  EXPECT_LE(peak(60 * token), (60 + 64) * token + 64 * 64);
  EXPECT_GT(peak(1 << 30), 200 * token);
}

TEST_F(Generate, DrawsDependOnTheSequenceAndNotOnItsWave) {
  GenerationOptions options{.max_new_tokens = 9,
                            .sampling = {.temperature = 1.5, .top_p = 0.9, .seed = 5}};
  const std::vector<TokenIds> expected = answers(options);
  options.max_cache_bytes = 1;
  EXPECT_EQ(answers(options), expected);
}

TEST_F(Generate, EndsWhereTheCallbackSaysSo) {
  int64_t tokens = 0;
  const std::vector<TokenIds> ended =
      answers({.max_new_tokens = 9, .max_cache_bytes = 1, .on_token = [&](size_t, int32_t) {
                 return ++tokens < 4;
               }});
  EXPECT_EQ(tokens, 4);
  EXPECT_TRUE(ended.back().empty());
}

TEST(PickToken, TakesTheLikeliestAtTemperatureZero) {
  const std::vector<float> logits = {0.5f, 2.0f, -1.0f, 1.9f};
  EXPECT_EQ(pick_token(logits, {.temperature = 0.0}, 0.99), 1);
}

TEST(PickToken, StaysInTheNucleus) {
  const std::vector<float> logits = {0.0f, 3.0f, 2.0f, -4.0f};
  for (const double draw : {0.0, 0.3, 0.6, 0.9, 0.999}) {
    const int32_t token = pick_token(logits, {.temperature = 1.0, .top_p = 0.8}, draw);
    EXPECT_TRUE(token == 1 || token == 2) << draw;
  }
}

TEST(PickToken, DrawsInProportion) {
  const std::vector<float> logits = {std::log(1.0f), std::log(3.0f)};
  int64_t first = 0;
  for (int i = 0; i < 1000; ++i) {
    if (pick_token(logits, {.temperature = 1.0}, (i + 0.5) / 1000) == 0) ++first;
  }
  EXPECT_NEAR(static_cast<double>(first), 250.0, 1.0);
}

}  // namespace
}  // namespace rung::model
