#include "kernels/cross_entropy.h"

#include <limits>

#include "tests/kernels/cross_entropy_case.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::fp16;
using kernels::cpu::cross_entropy;
using testing::random_values;
using testing::Tolerances;

constexpr float kScale = 0.25f;

template <typename T>
void check(int64_t rows, int64_t vocab) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << vocab);
  const auto batch = testing::cross_entropy_case<T>(rows, vocab, vocab + 3);
  const auto expected = testing::expected_of(batch, kScale);
  auto gradient = batch.logits;
  std::vector<float> losses(static_cast<size_t>(rows));
  cross_entropy<T>(gradient.data(), batch.targets.data(), rows, vocab, batch.stride, kScale,
                   losses.data());
  EXPECT_TRUE(testing::close(losses, expected.losses, Tolerances<float>::kElementwise));
  EXPECT_TRUE(testing::close(gradient, expected.gradient, testing::kGradientTolerance<T>));
}

TEST(CrossEntropy, MatchesReference) {
  for (const int64_t vocab : {1, 31, 33, 1025, 5000}) {
    check<float>(9, vocab);
    check<bf16>(9, vocab);
    check<fp16>(9, vocab);
  }
}

TEST(CrossEntropy, LeavesLogitsWithoutGradScale) {
  const auto original = random_values<float>(2 * 33, 1);
  auto logits = original;
  const std::vector<int32_t> targets = {3, 32};
  std::vector<float> losses(2);
  cross_entropy<float>(logits.data(), targets.data(), 2, 33, 33, std::nullopt, losses.data());
  EXPECT_EQ(logits, original);
  EXPECT_GT(losses[0], 0.0f);
}

TEST(CrossEntropy, SurvivesLargeLogits) {
  std::vector<float> logits = {1e4f, -1e4f, 9999.0f};
  const int32_t target = 2;
  float loss = 0.0f;
  cross_entropy<float>(logits.data(), &target, 1, 3, 3, 1.0f, &loss);
  EXPECT_NEAR(loss, std::log(1.0 + std::exp(1.0)), 1e-6);
  EXPECT_NEAR(logits[0], 1.0 / (1.0 + std::exp(-1.0)), 1e-6);
  EXPECT_EQ(logits[1], 0.0f);
}

TEST(CrossEntropy, LeavesLogitsOfIgnoredRowsWithoutGradScale) {
  const auto original = random_values<float>(33, 1);
  auto logits = original;
  const int32_t target = -1;
  float loss = 5.0f;
  cross_entropy<float>(logits.data(), &target, 1, 33, 33, std::nullopt, &loss);
  EXPECT_EQ(logits, original);
  EXPECT_EQ(loss, 0.0f);
}

TEST(CrossEntropy, LogitsOfMinusInfinityHaveNoPart) {
  std::vector<float> logits(5000, -std::numeric_limits<float>::infinity());
  logits[4998] = 1.0f;
  logits[4999] = 1.0f;
  const int32_t target = 4999;
  float loss = 0.0f;
  cross_entropy<float>(logits.data(), &target, 1, 5000, 5000, 1.0f, &loss);
  EXPECT_NEAR(loss, std::log(2.0), 1e-6);
  EXPECT_EQ(logits[0], 0.0f);
  EXPECT_NEAR(logits[4998], 0.5, 1e-6);
}

TEST(CrossEntropy, NanLogitMakesNanLoss) {
  std::vector<float> logits(33, 1.0f);
  logits[20] = std::numeric_limits<float>::quiet_NaN();
  const int32_t target = 0;
  float loss = 0.0f;
  cross_entropy<float>(logits.data(), &target, 1, 33, 33, std::nullopt, &loss);
  EXPECT_TRUE(std::isnan(loss));
}

TEST(CrossEntropy, ThreadsDoNotChangeTheBits) {
  const auto logits = random_values<float>(50 * 5000, 1);
  const std::vector<int32_t> targets(50, 17);
  std::vector<float> gradients[2] = {logits, logits};
  std::vector<float> losses[2] = {std::vector<float>(50), std::vector<float>(50)};
  for (int i = 0; i < 2; ++i) {
    testing::with_threads(i + 1, [&] {
      cross_entropy<float>(gradients[i].data(), targets.data(), 50, 5000, 5000, 1.0f,
                           losses[i].data());
    });
  }
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(losses[0], losses[1]);
}

}  // namespace
}  // namespace rung
