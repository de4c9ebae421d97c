#include "kernels/finite.h"

#include <limits>

#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::cpu::scale_and_check;
using testing::random_values;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Exact: one rounding an element.
TEST(ScaleAndCheck, ScalesEveryElement) {
  for (const int64_t n : {1, 31, 33, 1025, 100'003}) {
    const auto x = random_values<float>(n, 1);
    auto scaled = x;
    int32_t flag = 0;
    scale_and_check(scaled.data(), n, 0.3f, &flag);
    std::vector<float> expected;
    for (const float value : x) expected.push_back(value * 0.3f);
    EXPECT_EQ(scaled, expected) << n;
    EXPECT_EQ(flag, 0) << n;
  }
}

TEST(ScaleAndCheck, FindsOneValueAnywhere) {
  const int64_t n = 100'003;
  for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (const size_t at : {size_t{0}, size_t{31}, size_t{65'536}, static_cast<size_t>(n - 1)}) {
      auto x = random_values<float>(n, 1);
      x[at] = bad;
      int32_t flag = 0;
      scale_and_check(x.data(), n, 0.5f, &flag);
      EXPECT_EQ(flag, 1) << bad << " at " << at;
    }
  }
}

TEST(ScaleAndCheck, ChecksTheProduct) {
  std::vector<float> x = {3e38f};
  int32_t flag = 0;
  scale_and_check(x.data(), 1, 1.0f, &flag);
  EXPECT_EQ(flag, 0);
  scale_and_check(x.data(), 1, 2.0f, &flag);
  EXPECT_EQ(flag, 1);
}

TEST(ScaleAndCheck, LeavesTheFlagOfAnEarlierTensor) {
  std::vector<float> x = {1.0f};
  int32_t flag = 1;
  scale_and_check(x.data(), 1, 1.0f, &flag);
  scale_and_check(x.data(), 0, 1.0f, &flag);
  EXPECT_EQ(flag, 1);
}

TEST(ScaleAndCheck, DoesNotDependOnThreads) {
  const auto x = random_values<float>(100'003, 1);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    auto scaled = x;
    int32_t flag = 0;
    testing::with_threads(threads, [&] { scale_and_check(scaled.data(), 100'003, 0.7f, &flag); });
    results.push_back(scaled);
  }
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace rung
