#include "kernels/reduce.h"

#include <limits>

#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::cpu::sum;
using kernels::cpu::sum_of_squares;
using testing::random_values;

TEST(SumOfSquares, MatchesReference) {
  for (const int64_t n : {0, 1, 31, 33, 1025, 200001}) {
    const auto x = random_values<float>(n, 1);
    double expected = 0.0;
    for (const float value : x) expected += static_cast<double>(value) * value;
    EXPECT_NEAR(sum_of_squares(x.data(), n), expected, 1e-12 * expected) << n;
  }
}

TEST(SumOfSquares, HoldsValuesWhoseSquareIsNoFloat) {
  const std::vector<float> x = {1e30f, 1e-30f};
  EXPECT_NEAR(sum_of_squares(x.data(), 2), 1e60, 1e54);
}

TEST(SumOfSquares, IsNotFiniteWhereAnElementIsNot) {
  std::vector<float> x(1025, 1.0f);
  x[1000] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(sum_of_squares(x.data(), 1025)));
  x[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(sum_of_squares(x.data(), 1025)));
}

TEST(SumOfSquares, ThreadsDoNotChangeTheBits) {
  const auto x = random_values<float>(500001, 1);
  double one = 0.0;
  double two = 0.0;
  testing::with_threads(1, [&] { one = sum_of_squares(x.data(), 500001); });
  testing::with_threads(2, [&] { two = sum_of_squares(x.data(), 500001); });
  EXPECT_EQ(one, two);
}

TEST(Sum, MatchesReference) {
  for (const int64_t n : {0, 1, 31, 33, 1025, 200001}) {
    const auto x = random_values<float>(n, 1);
    double expected = 0.0;
    double magnitude = 0.0;
    for (const float value : x) {
      expected += value;
      magnitude += std::abs(value);
    }
    EXPECT_NEAR(sum(x.data(), n), expected, 1e-12 * magnitude) << n;
  }
}

TEST(Sum, KeepsWhatFloatWouldLose) {
  std::vector<float> x(100001, 1.0f);
  x[0] = 1e9f;
  EXPECT_EQ(sum(x.data(), 100001), 1e9 + 1e5);
}

TEST(Sum, ThreadsDoNotChangeTheBits) {
  const auto x = random_values<float>(500001, 1);
  double one = 0.0;
  double two = 0.0;
  testing::with_threads(1, [&] { one = sum(x.data(), 500001); });
  testing::with_threads(2, [&] { two = sum(x.data(), 500001); });
  EXPECT_EQ(one, two);
}

}  // namespace
}  // namespace rung
