#include "monitor/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace rung::monitor {
namespace {

using Series = std::vector<double>;

Series ramp(size_t size, double slope) {
  Series values;
  for (size_t i = 0; i < size; ++i) values.push_back(slope * static_cast<double>(i));
  return values;
}

Series noise(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Series values;
  for (size_t i = 0; i < size; ++i) values.push_back(normal(random));
  return values;
}

TEST(Statistics, MedianAndQuantile) {
  EXPECT_EQ(median({}), 0.0);
  EXPECT_EQ(median({3.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(median({4.0, 1.0, 2.0, 3.0}), 2.5);
  EXPECT_EQ(quantile({}, 0.5), 0.0);
  EXPECT_EQ(quantile(ramp(101, 1.0), 0.95), 95.0);
  EXPECT_EQ(quantile({7.0}, 0.95), 7.0);
}

TEST(Statistics, RobustDeviationIsThatOfNormalValuesAndBearsOutliers) {
  Series values = noise(10001, 1);
  EXPECT_NEAR(robust_deviation(values), 1.0, 0.03);
  for (size_t i = 0; i < 500; ++i) values[i * 20] = 1e9;
  EXPECT_NEAR(robust_deviation(values), 1.0, 0.1);
}

TEST(Statistics, TheilSenSlopeBearsOutliers) {
  const Series x = ramp(100, 1.0);
  Series y = ramp(100, 2.5);
  EXPECT_EQ(theil_sen_slope(x, y), 2.5);
  for (size_t i = 0; i < 100; i += 5) y[i] = 1e6;
  EXPECT_NEAR(theil_sen_slope(x, y), 2.5, 0.2);
  EXPECT_EQ(theil_sen_slope({}, {}), 0.0);
}

TEST(Statistics, RisingConfidenceOfWhatIsKnown) {
  EXPECT_EQ(rising_confidence({}), 0.5);
  EXPECT_EQ(rising_confidence(Series(50, 3.0)), 0.5);
  // 10 values in order: S = 45, variance 10 * 9 * 25 / 18 = 125, z = 44 / sqrt(125) = 3.935.
  EXPECT_NEAR(rising_confidence(ramp(10, 1.0)), 0.5 * std::erfc(-3.9354796 / std::sqrt(2.0)), 1e-9);
  EXPECT_NEAR(rising_confidence(ramp(10, -1.0)), 1.0 - rising_confidence(ramp(10, 1.0)), 1e-12);
  // 0 0 1 1: S = 4, variance (4 * 3 * 13 - 2 * (2 * 1 * 9)) / 18 = 120 / 18.
  EXPECT_NEAR(rising_confidence(Series{0, 0, 1, 1}),
              0.5 * std::erfc(-3.0 / std::sqrt(120.0 / 18.0) / std::sqrt(2.0)), 1e-9);
}

TEST(Statistics, RisingConfidenceIsSeldomSureOfNoise) {
  int alarms = 0;
  for (unsigned seed = 0; seed < 2000; ++seed) {
    alarms += rising_confidence(noise(40, seed)) >= 0.99;
  }
  EXPECT_LT(alarms, 40);  // 20 are due
}

TEST(Statistics, WithoutCausesLeavesTheTrend) {
  const Series time = ramp(200, 1.0);
  const Series cause = noise(200, 3);
  Series values = ramp(200, 5.0);
  for (size_t i = 0; i < values.size(); ++i) values[i] += 1e4 * cause[i] + 7e9;
  const Series rest = without_causes(values, time, {cause});
  ASSERT_EQ(rest.size(), values.size());
  for (size_t i = 1; i < rest.size(); ++i) EXPECT_NEAR(rest[i] - rest[i - 1], 5.0, 1e-3);
}

TEST(Statistics, WithoutCausesTellsNothingWhereACauseIsTime) {
  const Series time = ramp(200, 1.0);
  EXPECT_TRUE(without_causes(ramp(200, 5.0), time, {ramp(200, 3.0)}).empty());
}

TEST(Statistics, WithoutCausesBearsConstantAndRepeatedCauses) {
  const Series time = ramp(50, 1.0);
  const Series cause = noise(50, 5);
  const Series rest = without_causes(ramp(50, 2.0), time, {Series(50, 4.0), cause, cause});
  ASSERT_EQ(rest.size(), 50u);
  EXPECT_NEAR(rest[49] - rest[0], 98.0, 1e-6);
}

TEST(Statistics, ThinnedKeepsTheLine) {
  const Points few = thinned({ramp(10, 1.0), ramp(10, 2.0)}, 16);
  EXPECT_EQ(few.x.size(), 10u);
  const Points many = thinned({ramp(10007, 1.0), ramp(10007, 2.0)}, 256);
  ASSERT_EQ(many.x.size(), 256u);
  for (size_t i = 0; i < many.x.size(); ++i) EXPECT_NEAR(many.y[i], 2.0 * many.x[i], 1e-9);
}

}  // namespace
}  // namespace rung::monitor
