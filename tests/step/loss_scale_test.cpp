// Training in fp16: the scale finds its range by itself and leaves no trace in the result.
#include "step/loss_scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "step/step.h"
#include "tests/support/tiny_run.h"

namespace rung::step {
namespace {

using rung::testing::TinyFolder;
using rung::testing::TinyRun;
using rung::testing::TinyRunOptions;

data::StepBatch small_batch() {
  static const std::vector<int64_t> lengths = {37, 5, 22, 63};
  const auto examples = rung::testing::random_examples(lengths, 3);
  return rung::testing::step_batch(examples, {{0, 1, 2}, {3}});
}

struct Outcome {
  StepResult result;
  at::Tensor parameters;
};

// One step on NF4 in `compute`.
Outcome take_step(c10::ScalarType compute, LossScale* scale) {
  const TinyFolder folder(rung::testing::tiny_llama());
  TinyRun run(folder, {.compute = compute, .base = model::BaseFormat::kNf4});
  const StepResult result = run_step(run.model, run.optimizer, small_batch(),
                                     {.index = 0, .learning_rate = 1e-3}, {.loss_scale = scale});
  return {result, run.parameters().clone()};
}

TEST(LossScale, DoublesAfterManyCleanStepsInARow) {
  LossScale scale;
  for (int64_t i = 0; i < LossScale::kGrowthInterval - 1; ++i) scale.accept();
  EXPECT_EQ(scale.value(), LossScale::kInitial);
  scale.accept();
  EXPECT_EQ(scale.value(), 2 * LossScale::kInitial);
  EXPECT_EQ(scale.clean_steps(), 0);
}

TEST(LossScale, AnOverflowStartsTheCountAnew) {
  LossScale scale;
  scale.accept();
  EXPECT_TRUE(scale.lower());
  EXPECT_EQ(scale.value(), LossScale::kInitial / 2);
  EXPECT_EQ(scale.clean_steps(), 0);
}

TEST(LossScale, StopsAtOne) {
  LossScale scale(2.0, 0);
  EXPECT_TRUE(scale.lower());
  EXPECT_FALSE(scale.lower());
  EXPECT_EQ(scale.value(), 1.0);
}

TEST(LossScale, KnowsWhatItCannotHaveBeen) {
  EXPECT_TRUE(LossScale::is_sound(65536.0, 3));
  EXPECT_FALSE(LossScale::is_sound(0.0, 3));
  EXPECT_FALSE(LossScale::is_sound(3.0, 3));
  EXPECT_FALSE(LossScale::is_sound(-2.0, 3));
  EXPECT_FALSE(LossScale::is_sound(2.0, -1));
  EXPECT_FALSE(LossScale::is_sound(2.0, LossScale::kGrowthInterval));
}

TEST(Fp16Step, DoesAnOverflowingStepAgainWithASmallerScale) {
  LossScale found(0x1p40, 0);
  const Outcome lowered = take_step(c10::kHalf, &found);
  EXPECT_EQ(lowered.result.outcome, StepOutcome::kUpdated);
  EXPECT_LT(found.value(), 0x1p40);
  EXPECT_EQ(found.clean_steps(), 1);
  LossScale given(found.value(), 0);
  const Outcome direct = take_step(c10::kHalf, &given);
  EXPECT_EQ(given.value(), found.value());
  EXPECT_TRUE(lowered.parameters.equal(direct.parameters));
  EXPECT_EQ(lowered.result.grad_norm, direct.result.grad_norm);
}

TEST(Fp16Step, LosesSmallGradientsWithoutAScale) {
  const double expected = take_step(c10::kFloat, nullptr).result.grad_norm;
  LossScale scale;
  EXPECT_NEAR(take_step(c10::kHalf, &scale).result.grad_norm, expected, 0.01 * expected);
}

// A gradient that is not finite at any scale, behind a loss that is.
TEST(Fp16Step, KeepsItsScaleWhereNoneHelps) {
  const TinyFolder folder(rung::testing::tiny_llama());
  TinyRun run(folder, {.compute = c10::kHalf});
  at::Tensor poisoned = run.gradients();
  LossScale scale(4.0, 0);
  StepOptions options{.loss_scale = &scale};
  // Asked before each micro-batch: after the buffer was cleared.
  options.should_stop = [&poisoned] {
    poisoned.fill_(std::numeric_limits<float>::quiet_NaN());
    return false;
  };
  const StepResult result = run_step(run.model, run.optimizer, small_batch(),
                                     {.index = 0, .learning_rate = 1e-3}, options);
  EXPECT_EQ(result.outcome, StepOutcome::kNotFinite);
  EXPECT_TRUE(std::isfinite(result.loss));
  EXPECT_EQ(scale.value(), 2.0) << "lowered once, not to 1";
}

TEST(Fp16Step, SkipsAStepThatNoScaleHelps) {
  const TinyFolder folder(rung::testing::tiny_llama());
  TinyRun run(folder, {.compute = c10::kHalf});
  at::Tensor(run.parameters()).fill_(1e30);  // past fp16 in the forward pass already
  const at::Tensor before = run.parameters().clone();
  LossScale scale;
  const StepResult result = run_step(run.model, run.optimizer, small_batch(),
                                     {.index = 0, .learning_rate = 1e-3}, {.loss_scale = &scale});
  EXPECT_EQ(result.outcome, StepOutcome::kNotFinite);
  EXPECT_EQ(scale.value(), LossScale::kInitial) << "a loss that is not finite is not its fault";
  EXPECT_TRUE(run.parameters().equal(before));
}

}  // namespace
}  // namespace rung::step
