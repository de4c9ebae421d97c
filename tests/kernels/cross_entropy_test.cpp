#include "kernels/cross_entropy.h"

#include <limits>

#include "tests/reference/cross_entropy.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::cpu::cross_entropy;
using testing::random_values;
using testing::Tolerance;
using testing::Tolerances;
using testing::widen;

constexpr float kScale = 0.25f;

// Gradients are softmax values down to e^-30: relative accuracy counts, not the absolute one.
// The argument of exp has an error of 2^-24 * 30.
constexpr Tolerance kFloatGradient = {.relative = 5e-6, .absolute = 1e-12};
constexpr Tolerance kBf16Gradient = {.relative = 0x1p-8 * 1.01, .absolute = 1e-12};

template <typename T>
void check(int64_t rows, int64_t vocab, const Tolerance& tolerance) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << vocab);
  const int64_t stride = vocab + 3;
  const auto logits = random_values<T>(rows * stride, 1, 4.0);
  std::vector<int32_t> targets;
  for (int64_t row = 0; row < rows; ++row) {
    targets.push_back(static_cast<int32_t>(row * 997 % vocab));
  }
  std::vector<double> expected = widen(logits);
  std::vector<double> expected_losses;
  for (int64_t row = 0; row < rows; ++row) {
    const auto begin = expected.begin() + row * stride;
    const auto result = reference::cross_entropy(
        {begin, begin + vocab}, static_cast<size_t>(targets[static_cast<size_t>(row)]), kScale);
    expected_losses.push_back(result.loss);
    std::copy(result.gradient.begin(), result.gradient.end(), begin);
  }
  auto gradient = logits;
  std::vector<float> losses(static_cast<size_t>(rows));
  cross_entropy<T>(gradient.data(), targets.data(), rows, vocab, stride, kScale, losses.data());
  EXPECT_TRUE(testing::close(losses, expected_losses, Tolerances<float>::kElementwise));
  EXPECT_TRUE(testing::close(gradient, expected, tolerance));
}

TEST(CrossEntropy, MatchesReference) {
  for (const int64_t vocab : {1, 31, 33, 1025, 5000}) {
    check<float>(9, vocab, kFloatGradient);
    check<bf16>(9, vocab, kBf16Gradient);
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
