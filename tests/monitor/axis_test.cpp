// Ticks of axes: round numbers in the unit of their labels.
#include "monitor/axis.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rung::monitor {
namespace {

using Labels = std::vector<std::string>;

Labels labels(const Axis& axis) {
  Labels labels;
  for (const Tick& tick : axis.ticks()) labels.push_back(tick.label);
  return labels;
}

constexpr double kMiB = 0x1p20;
constexpr double kGiB = 0x1p30;

TEST(Axis, BytesAreRoundInTheirUnit) {
  EXPECT_EQ(labels(Axis::around({0, 437 * kMiB}, Unit::kBytes)),
            (Labels{"0", "100 MiB", "200 MiB", "300 MiB", "400 MiB", "500 MiB"}));
  EXPECT_EQ(labels(Axis::around({0, 22.8 * kGiB}, Unit::kBytes)),
            (Labels{"0", "5 GiB", "10 GiB", "15 GiB", "20 GiB", "25 GiB"}));
  EXPECT_EQ(labels(Axis::around({0, 1.4 * kGiB}, Unit::kBytes)),
            (Labels{"0", "0.5 GiB", "1.0 GiB", "1.5 GiB"}));
}

TEST(Axis, CountsGetAPrefixFromTenThousandOn) {
  EXPECT_EQ(labels(Axis::around({0, 3000}, Unit::kCount)), (Labels{"0", "1000", "2000", "3000"}));
  EXPECT_EQ(labels(Axis::of_steps({0.5, 100000.5})), (Labels{"20k", "40k", "60k", "80k", "100k"}));
}

TEST(Axis, SmallNumbersAreScientific) {
  EXPECT_EQ(labels(Axis::around({0, 2e-4}, Unit::kPlain)),
            (Labels{"0", "5e-5", "1e-4", "1.5e-4", "2e-4"}));
}

TEST(Axis, StepsAreWholeNumbers) {
  EXPECT_EQ(labels(Axis::of_steps({0.5, 1.5})), (Labels{"1"}));
  EXPECT_EQ(labels(Axis::of_steps({0.5, 3.5})), (Labels{"1", "2", "3"}));
  EXPECT_EQ(labels(Axis::of_steps({12000.5, 12004.5})),
            (Labels{"12001", "12002", "12003", "12004"}));
}

TEST(Axis, ALogarithmicOneHasItsDecades) {
  const Axis axis = Axis::around({0.02, 900}, Unit::kPlain, Scale::kLog);
  EXPECT_EQ(labels(axis), (Labels{"0.1", "1", "10", "100", "1000"}));
  EXPECT_NEAR(axis.position(1.0) - axis.position(0.1), axis.position(100.0) - axis.position(10.0),
              1e-12);
}

TEST(Axis, HoldsItsValues) {
  for (const Range values : {Range{0.31, 2.97}, Range{-4, 7}, Range{1e-30, 3e-30}, Range{0, 1e50},
                             Range{5, 5}, Range{0, 0}, Range{-2, -2}}) {
    const Axis axis = Axis::around(values, Unit::kPlain);
    const double rounding = 1e-9 * (axis.range().high - axis.range().low);  // of step times count
    EXPECT_LE(axis.range().low, values.low + rounding);
    EXPECT_GE(axis.range().high, values.high - rounding);
    EXPECT_LT(axis.range().low, axis.range().high);
    EXPECT_GE(axis.ticks().size(), 2u) << values.low << " " << values.high;
    EXPECT_LE(axis.ticks().size(), 12u) << values.low << " " << values.high;
  }
}

TEST(Axis, AValueOutsideIsAtTheNearerEnd) {
  const Axis axis = Axis::around({0, 10}, Unit::kPlain);
  EXPECT_EQ(axis.position(-1), 0.0);
  EXPECT_EQ(axis.position(1e9), 1.0);
  EXPECT_EQ(axis.position(5), 0.5);
}

}  // namespace
}  // namespace rung::monitor
