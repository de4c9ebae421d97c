// Cross-entropy's CUDA kernel on the emulated device: as the reference has it, the same bits in
// every order of threads, nothing written outside of the rows.
#include <limits>

#include "kernels/cross_entropy.h"
#include "tests/kernels/cross_entropy_case.h"
#include "tests/kernels/refusal.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::bf16;
using kernels::fp16;
using kernels::Stream;
using testing::CrossEntropyCase;
using testing::Tolerances;

constexpr float kScale = 0.25f;

template <typename T>
struct Result {
  std::vector<float> losses;
  std::vector<T> logits;
};

template <typename T>
Result<T> run(const CrossEntropyCase<T>& batch, std::optional<float> grad_scale,
              const emulation::Schedule& schedule = {}) {
  Device device(schedule);
  GuardedBuffer<T> logits(batch.logits);
  const GuardedBuffer<int32_t> targets(batch.targets);
  GuardedBuffer<float> losses(batch.targets.size());
  kernels::cuda::cross_entropy(logits.data(), targets.data(), batch.rows, batch.vocab, batch.stride,
                               grad_scale, losses.data(), Stream{device.handle()});
  EXPECT_TRUE(logits.intact() && targets.intact() && losses.intact());
  return {losses.read(), logits.read()};
}

template <typename T>
class CrossEntropyCuda : public ::testing::Test {
 protected:
  static void check(int64_t rows, int64_t vocab, int64_t stride) {
    SCOPED_TRACE(::testing::Message() << rows << " x " << vocab << ", " << stride << " apart");
    const auto batch = testing::cross_entropy_case<T>(rows, vocab, stride);
    const auto expected = testing::expected_of(batch, kScale);
    const Result<T> first = run(batch, kScale);
    EXPECT_TRUE(testing::close(first.losses, expected.losses, Tolerances<float>::kElementwise));
    EXPECT_TRUE(testing::close(first.logits, expected.gradient, testing::kGradientTolerance<T>));
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      const Result<T> other = run(batch, kScale, schedule);
      EXPECT_EQ(other.losses, first.losses);
      EXPECT_TRUE(testing::close(other.logits, testing::widen(first.logits), testing::kExact));
    }
  }
};
using Types = ::testing::Types<float, bf16, fp16>;
TYPED_TEST_SUITE(CrossEntropyCuda, Types);

TYPED_TEST(CrossEntropyCuda, MatchesReferenceOnAlignedRows) {
  for (const int64_t vocab : {1, 31, 33, 1025}) this->check(4, vocab, (vocab + 7) / 8 * 8);
}

TYPED_TEST(CrossEntropyCuda, MatchesReferenceOnUnalignedRows) {
  for (const int64_t vocab : {1, 31, 33, 1025}) this->check(4, vocab, vocab | 1);
}

// Several groups of packets a thread, the last one partly past the end, and a tail.
TYPED_TEST(CrossEntropyCuda, MatchesReferenceOnLongRows) {
  this->check(1, 32000, 32000);
  this->check(1, 50257, 50264);
}

// The order of additions is a function of vocab.
TYPED_TEST(CrossEntropyCuda, AlignmentDoesNotChangeTheBits) {
  const auto aligned = testing::cross_entropy_case<TypeParam>(1, 20003, 20008);
  auto shifted = aligned;
  shifted.stride = 20009;
  shifted.logits.push_back(shifted.logits[0]);
  const Result<TypeParam> a = run(aligned, kScale);
  const Result<TypeParam> b = run(shifted, kScale);
  EXPECT_EQ(a.losses, b.losses);
  for (size_t i = 0; i < 20003; ++i) {
    ASSERT_EQ(kernels::to_float(a.logits[i]), kernels::to_float(b.logits[i])) << i;
  }
}

TYPED_TEST(CrossEntropyCuda, LeavesLogitsWithoutGradScale) {
  const auto batch = testing::cross_entropy_case<TypeParam>(2, 1025, 1032);
  const Result<TypeParam> with = run(batch, kScale);
  const Result<TypeParam> without = run(batch, std::nullopt);
  EXPECT_EQ(without.losses, with.losses);
  EXPECT_TRUE(testing::close(without.logits, testing::widen(batch.logits), testing::kExact));
}

CrossEntropyCase<float> one_row(std::vector<float> logits, int32_t target) {
  const auto vocab = static_cast<int64_t>(logits.size());
  return {1, vocab, vocab, std::move(logits), {target}};
}

TEST(CrossEntropyCudaValues, SurvivesLargeLogits) {
  const auto result = run(one_row({1e4f, -1e4f, 9999.0f}, 2), 1.0f);
  EXPECT_NEAR(result.losses[0], std::log(1.0 + std::exp(1.0)), 1e-6);
  EXPECT_NEAR(result.logits[0], 1.0 / (1.0 + std::exp(-1.0)), 1e-6);
  EXPECT_EQ(result.logits[1], 0.0f);
}

TEST(CrossEntropyCudaValues, LogitsOfMinusInfinityHaveNoPart) {
  std::vector<float> logits(5000, -std::numeric_limits<float>::infinity());
  logits[4998] = 1.0f;
  logits[4999] = 1.0f;
  const auto result = run(one_row(logits, 4999), 1.0f);
  EXPECT_NEAR(result.losses[0], std::log(2.0), 1e-6);
  EXPECT_EQ(result.logits[0], 0.0f);
  EXPECT_NEAR(result.logits[4998], 0.5, 1e-6);
}

TEST(CrossEntropyCudaValues, NanOrInfinityMakesTheLossNan) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    std::vector<float> logits(1025, 1.0f);
    logits[1024] = bad;
    EXPECT_TRUE(std::isnan(run(one_row(logits, 0), std::nullopt).losses[0])) << bad;
  }
}

TEST(CrossEntropyCudaValues, TheOnlyTokenHasNoLossAndNoGradient) {
  const auto result = run(one_row({3.5f}, 0), 1.0f);
  EXPECT_EQ(result.losses[0], 0.0f);
  EXPECT_EQ(result.logits[0], 0.0f);
}

TEST(CrossEntropyCudaLaunch, RefusesAStrideBelowVocab) {
  EXPECT_EQ(testing::refusal_of([] {
              kernels::cuda::cross_entropy<float>(nullptr, nullptr, 2, 8, 7, 1.0f, nullptr, {});
            }),
            "cross_entropy: 2 rows of 8 logits, 7 apart, cannot be launched");
}

TEST(CrossEntropyCudaLaunch, LaunchesNothingWithoutRows) {
  Device device;
  kernels::cuda::cross_entropy<float>(nullptr, nullptr, 0, 8, 8, 1.0f, nullptr,
                                      Stream{device.handle()});
  EXPECT_TRUE(device.launched(0));
}

}  // namespace
}  // namespace rung
