#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

namespace rung {
namespace {

TEST(Mix64, IsTheOutputFunctionOfSplitmix64) {
  // The first outputs of the published generator started at 0.
  EXPECT_EQ(mix64(0x9e3779b97f4a7c15u), 0xe220a8397b1dcdafu);
  EXPECT_EQ(mix64(2 * 0x9e3779b97f4a7c15u), 0x6e789e6aa1b965f4u);
}

TEST(CounterRandom, IsAPureFunctionOfItsKey) {
  const CounterRandom random(42, 7);
  EXPECT_EQ(random.bits(5), CounterRandom(42, 7).bits(5));
  EXPECT_NE(random.bits(5), random.bits(6));
  EXPECT_NE(random.bits(5), CounterRandom(42, 8).bits(5));
  EXPECT_NE(random.bits(5), CounterRandom(43, 7).bits(5));
}

// Pins the values: checkpoints and published results depend on them.
TEST(CounterRandom, DrawsTheSameValuesForever) {
  const CounterRandom random(42, stream_of("layers.0.lora_A"));
  EXPECT_EQ(random.bits(0), 0xdb49b0ab55acddb4u);
  EXPECT_EQ(random.uniform(1), 0.933359848323876);
  EXPECT_EQ(random.normal(2), -1.9654728755445814);
}

TEST(CounterRandom, UniformHasItsMoments) {
  const CounterRandom random(1, 0);
  constexpr int kDraws = 100'000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.uniform(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.004);  // 4 standard errors
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 0.004);
}

TEST(CounterRandom, NormalHasItsMoments) {
  const CounterRandom random(1, 0);
  constexpr int kDraws = 100'000;
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = random.normal(i);
    sum += z;
    squares += z * z;
    fourth += z * z * z * z;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.013);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.018);
  EXPECT_NEAR(fourth / kDraws, 3.0, 0.13);
}

// The largest distance between the empirical and the true distribution function
// (Kolmogorov-Smirnov; 1.95 / sqrt(n) is exceeded once in a thousand seeds).
TEST(CounterRandom, NormalHasItsShape) {
  const CounterRandom random(3, 9);
  constexpr int kDraws = 20'000;
  std::vector<double> draws;
  for (int i = 0; i < kDraws; ++i) draws.push_back(random.normal(i));
  std::sort(draws.begin(), draws.end());
  double distance = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double expected = 0.5 * std::erfc(-draws[i] / std::sqrt(2.0));
    distance = std::max(distance, std::abs(expected - (i + 0.5) / kDraws));
  }
  EXPECT_LT(distance, 1.95 / std::sqrt(double{kDraws}));
}

TEST(CounterRandom, NeighbouringDrawsAreUncorrelated) {
  const CounterRandom random(5, 5);
  constexpr int kDraws = 100'000;
  double product = 0;
  for (int i = 0; i < kDraws; ++i) product += random.normal(i) * random.normal(i + 1);
  EXPECT_NEAR(product / kDraws, 0.0, 0.013);
}

TEST(CounterRandom, BelowCoversItsRange) {
  const CounterRandom random(1, 2);
  std::set<uint64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(random.below(i, 7));
  EXPECT_EQ(seen, (std::set<uint64_t>{0, 1, 2, 3, 4, 5, 6}));
}

TEST(ShuffledIndices, IsAPermutation) {
  std::vector<int64_t> indices = shuffled_indices(1025, 42, 3);
  std::sort(indices.begin(), indices.end());
  std::vector<int64_t> expected(1025);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(indices, expected);
}

TEST(NearNormal, HasTheMomentsItSays) {
  std::vector<float> values(1 << 20);
  CounterRandom(42, 1).fill_near_normal(0, {.mean = 3.0, .deviation = 0.5}, values);
  double sums[5] = {};
  float largest = 0.0f;
  for (const float value : values) {
    const double x = (value - 3.0) / 0.5;
    for (int power = 1; power <= 4; ++power) sums[power] += std::pow(x, power);
    largest = std::max(largest, static_cast<float>(std::abs(x)));
  }
  const auto count = static_cast<double>(values.size());
  // Tolerances: 5 standard deviations of the mean of so many draws.
  EXPECT_NEAR(sums[1] / count, 0.0, 0.005);
  EXPECT_NEAR(sums[2] / count, 1.0, 0.007);
  EXPECT_NEAR(sums[3] / count, 0.0, 0.02);
  EXPECT_NEAR(sums[4] / count, 2.7, 0.05);  // 3 - 0.3
  EXPECT_LT(largest, 3.47f);
  EXPECT_GT(largest, 3.0f);
}

TEST(NearNormal, IsAFunctionOfEachCounter) {
  const CounterRandom random(42, 1);
  std::vector<float> whole(1000);
  random.fill_near_normal(500, {}, whole);
  for (const size_t first : {0, 1, 333, 999}) {
    std::vector<float> piece(whole.size() - first);
    random.fill_near_normal(500 + first, {}, piece);
    EXPECT_TRUE(
        std::equal(piece.begin(), piece.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)));
  }
  std::vector<float> other(whole.size());
  CounterRandom(42, 2).fill_near_normal(500, {}, other);
  EXPECT_NE(other, whole);
}

TEST(ShuffledIndices, DependsOnSeedAndEpochOnly) {
  EXPECT_EQ(shuffled_indices(33, 42, 0), shuffled_indices(33, 42, 0));
  EXPECT_NE(shuffled_indices(33, 42, 0), shuffled_indices(33, 42, 1));
  EXPECT_NE(shuffled_indices(33, 42, 0), shuffled_indices(33, 43, 0));
}

TEST(ShuffledIndices, PutsEveryIndexEverywhereEquallyOften) {
  constexpr int kEpochs = 6000;
  int counts[3][3] = {};
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<int64_t> indices = shuffled_indices(3, 1, epoch);
    for (int place = 0; place < 3; ++place) ++counts[place][indices[place]];
  }
  for (const auto& row : counts) {
    for (const int count : row) EXPECT_NEAR(count, kEpochs / 3, 150);  // 4 standard deviations
  }
}

TEST(ShuffledIndices, TakesEmptyAndSingle) {
  EXPECT_TRUE(shuffled_indices(0, 1, 0).empty());
  EXPECT_EQ(shuffled_indices(1, 1, 0), std::vector<int64_t>{0});
}

}  // namespace
}  // namespace rung
