#include "kernels/vector_math.h"

#include <cmath>
#include <limits>

#include "tests/support/compare.h"

namespace rung {
namespace {

using kernels::cpu::fast_exp;

TEST(FastExp, IsWithinItsStatedError) {
  double worst = 0.0;  // in units of the last place
  for (float x = -86.5f; x < 88.72f; x += 1e-4f) {
    const double expected = std::exp(static_cast<double>(x));
    const float nearest = static_cast<float>(expected);
    const double unit = std::nextafter(nearest, HUGE_VALF) - nearest;
    worst = std::max(worst, std::abs(fast_exp(x) - expected) / unit);
  }
  EXPECT_LT(worst, 1.3);
}

TEST(FastExp, IsExactAtZero) { EXPECT_EQ(fast_exp(0.0f), 1.0f); }

TEST(FastExp, HandlesTheEndsOfItsRange) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(fast_exp(-infinity), 0.0f);
  EXPECT_EQ(fast_exp(-1000.0f), 0.0f);
  EXPECT_EQ(fast_exp(88.8f), infinity);
  EXPECT_EQ(fast_exp(infinity), infinity);
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace rung
