#include "training/evaluation_pace.h"

#include <gtest/gtest.h>

namespace rung::training {
namespace {

TEST(EvaluationPace, CountsWhatIsStillToCome) {
  EXPECT_EQ(evaluations_after(0, {.every = 2, .total_steps = 6}), 3);
  EXPECT_EQ(evaluations_after(1, {.every = 2, .total_steps = 6}), 3);
  EXPECT_EQ(evaluations_after(2, {.every = 2, .total_steps = 6}), 2) << "that of step 2 is held";
  EXPECT_EQ(evaluations_after(5, {.every = 2, .total_steps = 6}), 1);
  EXPECT_EQ(evaluations_after(6, {.every = 2, .total_steps = 6}), 0);
  EXPECT_EQ(evaluations_after(6, {.every = 2, .total_steps = 7}), 1) << "behind the last step";
  EXPECT_EQ(evaluations_after(0, {.every = 10, .total_steps = 7}), 1);
  EXPECT_EQ(evaluations_after(3, {.every = 0, .total_steps = 7}), 1);
}

TEST(EvaluationPace, IsTakenFromTheStepsBeforeOneWasHeld) {
  const EvaluationPace pace(500);
  EXPECT_EQ(pace.seconds({}), 0.0);
  EXPECT_DOUBLE_EQ(pace.seconds({.seconds = 20, .tokens = 1000}), 5.0) << "half of a step's time";
  EXPECT_DOUBLE_EQ(pace.seconds({.seconds = 30, .tokens = 1000, .recomputed_share = 1.0}), 5.0);
}

TEST(EvaluationPace, IsThatOfTheLastOne) {
  EvaluationPace pace(500);
  pace.add(7.0);
  pace.add(8.0);
  EXPECT_EQ(pace.seconds({.seconds = 20, .tokens = 1000}), 8.0);
}

}  // namespace
}  // namespace rung::training
