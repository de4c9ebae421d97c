#include "step/schedule.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rung::step {
namespace {

struct Case {
  std::string name;
  Schedule schedule;
  std::vector<double> expected;
};

class ScheduleTable : public ::testing::TestWithParam<Case> {};

TEST_P(ScheduleTable, EqualsTransformers) {
  for (size_t step = 0; step < GetParam().expected.size(); ++step) {
    EXPECT_NEAR(learning_rate(GetParam().schedule, static_cast<int64_t>(step)),
                GetParam().expected[step], 1e-17)
        << "step " << step;
  }
}

// get_{cosine,linear,constant}_schedule_with_warmup of transformers 5.23.0 at a peak of 2e-4.
INSTANTIATE_TEST_SUITE_P(
    Kinds, ScheduleTable,
    ::testing::Values(
        Case{"Cosine",
             {LrScheduler::kCosine, 2e-4, 0, 5},
             {0.0002, 0.00018090169943749476, 0.00013090169943749476, 6.909830056250527e-05,
              1.9098300562505266e-05}},
        Case{"CosineWarmup",
             {LrScheduler::kCosine, 2e-4, 3, 10},
             {0.0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0001900968867902419,
              0.00016234898018587337, 0.00012225209339563145, 7.774790660436858e-05,
              3.7651019814126654e-05, 9.903113209758096e-06}},
        Case{"Linear",
             {LrScheduler::kLinear, 2e-4, 0, 5},
             {0.0002, 0.00016, 0.00012, 8e-05, 4e-05, 0.0, 0.0}},
        Case{"LinearWarmup",
             {LrScheduler::kLinear, 2e-4, 3, 10},
             {0.0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.00017142857142857143,
              0.00014285714285714287, 0.00011428571428571428, 8.571428571428571e-05,
              5.714285714285714e-05, 2.857142857142857e-05, 0.0, 0.0}},
        Case{"Constant", {LrScheduler::kConstant, 2e-4, 0, 5}, {0.0002, 0.0002, 0.0002, 0.0002}},
        Case{"ConstantWarmup",
             {LrScheduler::kConstant, 2e-4, 3, 10},
             {0.0, 6.666666666666667e-05, 0.00013333333333333334, 0.0002, 0.0002, 0.0002}},
        Case{"OnlyWarmup",
             {LrScheduler::kCosine, 2e-4, 4, 4},
             {0.0, 5e-05, 0.0001, 0.00015000000000000001}}),
    [](const auto& info) { return info.param.name; });

TEST(Schedule, CosineStaysAtZeroBehindItsEnd) {
  const Schedule schedule{LrScheduler::kCosine, 1.0, 0, 4};
  EXPECT_NEAR(learning_rate(schedule, 4), 0.0, 1e-16);
  EXPECT_NEAR(learning_rate(schedule, 100), 0.0, 1e-16);
}

TEST(Schedule, WarmupStepsAreTakenAsTheyAre) {
  RunConfig config;
  config.warmup_steps = 7;
  EXPECT_EQ(warmup_steps(config, 1000), 7);
}

TEST(Schedule, WarmupRatioIsRoundedUp) {
  RunConfig config;
  config.warmup_ratio = 0.03;
  EXPECT_EQ(warmup_steps(config, 100), 3);
  EXPECT_EQ(warmup_steps(config, 101), 4);
  EXPECT_EQ(warmup_steps(config, 1), 1);
}

}  // namespace
}  // namespace rung::step
