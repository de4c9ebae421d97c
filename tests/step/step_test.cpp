#include "step/step.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/counting.h"
#include "tests/support/tiny_run.h"

namespace rung::step {
namespace {

using rung::testing::relative_error;
using rung::testing::TinyFolder;
using rung::testing::TinyRun;

const std::vector<int64_t> kLengths = {31, 4, 17, 40};

class Step : public ::testing::Test {
 protected:
  data::StepBatch batch(const std::vector<std::vector<int64_t>>& split) const {
    return rung::testing::step_batch(examples_, split);
  }

  TinyFolder folder_{rung::testing::tiny_llama()};
  std::vector<data::Example> examples_ = rung::testing::random_examples(kLengths, 3);
  data::StepBatch whole_ = batch({{0, 1, 2, 3}});
};

// How a step is split reorders sums and does nothing else, whatever the dropout.
class StepSplit : public Step, public ::testing::WithParamInterface<double> {};

TEST_P(StepSplit, HasTheSameGradientAndLoss) {
  TinyRun run(folder_, {.dropout = GetParam()});
  const StepResult expected = compute_gradients(run.model, whole_, 7, {});
  const at::Tensor gradients = run.gradients().clone();
  for (const auto& split : std::vector<std::vector<std::vector<int64_t>>>{
           {{0}, {1}, {2}, {3}}, {{0, 1}, {2, 3}}, {{3, 0}, {2, 1}}, {{2}, {3, 1, 0}}}) {
    const StepResult got = compute_gradients(run.model, batch(split), 7, {});
    EXPECT_LE(relative_error(run.gradients(), gradients), 1e-6);
    EXPECT_NEAR(got.loss, expected.loss, 1e-6 * expected.loss);
    EXPECT_NEAR(got.grad_norm, expected.grad_norm, 1e-6 * expected.grad_norm);
  }
}

TEST_P(StepSplit, RecomputationGivesTheSameBits) {
  TinyRun run(folder_, {.dropout = GetParam()});
  compute_gradients(run.model, whole_, 7, {});
  const at::Tensor gradients = run.gradients().clone();
  for (const int64_t num_recomputed : {1, 2, 3}) {
    compute_gradients(run.model, whole_, 7, {.memory = {.num_recomputed = num_recomputed}});
    EXPECT_TRUE(run.gradients().equal(gradients)) << num_recomputed;
  }
}

INSTANTIATE_TEST_SUITE_P(Dropout, StepSplit, ::testing::Values(0.0, 0.3), [](const auto& info) {
  return info.param == 0.0 ? std::string("Off") : std::string("On");
});

TEST_F(Step, DropoutMasksDifferByStepAndBySeed) {
  TinyRun run(folder_, {.dropout = 0.3});
  compute_gradients(run.model, whole_, 7, {.seed = 1});
  const at::Tensor gradients = run.gradients().clone();
  compute_gradients(run.model, whole_, 8, {.seed = 1});
  EXPECT_GE(relative_error(run.gradients(), gradients), 0.05);
  compute_gradients(run.model, whole_, 7, {.seed = 2});
  EXPECT_GE(relative_error(run.gradients(), gradients), 0.05);
  compute_gradients(run.model, whole_, 7, {.seed = 1});
  EXPECT_TRUE(run.gradients().equal(gradients));
}

// The loss along a direction in the parameters rises as the gradient says.
TEST_F(Step, GradientIsTheSlopeOfTheLoss) {
  TinyRun run(folder_, {});
  compute_gradients(run.model, whole_, 0, {});
  const at::Tensor direction = rung::testing::random_tensor(run.parameters().sizes(), 9);
  const double slope = run.gradients().dot(direction).item<double>();
  const auto loss_at = [&](double distance) {
    at::Tensor parameters = run.parameters();
    const at::Tensor before = parameters.clone();
    parameters.add_(direction, distance);
    const double loss = compute_gradients(run.model, whole_, 0, {}).loss;
    parameters.copy_(before);
    return loss;
  };
  constexpr double kDistance = 1e-3;
  EXPECT_NEAR((loss_at(kDistance) - loss_at(-kDistance)) / (2 * kDistance), slope,
              0.01 * std::abs(slope));
}

TEST_F(Step, LossEqualsThatOfEvaluation) {
  TinyRun run(folder_, {});
  const double loss = compute_gradients(run.model, whole_, 0, {}).loss;
  EXPECT_NEAR(run.model.loss(whole_.micro_batches[0]).item<double>() /
                  static_cast<double>(whole_.num_supervised()),
              loss, 1e-6 * loss);
}

TEST_F(Step, GradientsOfAnEarlierStepAreCleared) {
  TinyRun run(folder_, {});
  compute_gradients(run.model, whole_, 0, {});
  const at::Tensor gradients = run.gradients().clone();
  compute_gradients(run.model, whole_, 0, {});
  EXPECT_TRUE(run.gradients().equal(gradients));
}

TEST_F(Step, ANonFiniteStepLeavesParametersAndMomentsAlone) {
  TinyRun run(folder_, {});
  run_step(run.model, run.optimizer, whole_, {.learning_rate = 1e-3}, {});
  at::Tensor parameters = run.parameters();
  const double sound = parameters[3].item<double>();
  parameters[3] = std::numeric_limits<float>::infinity();
  const at::Tensor before = parameters.clone();
  const at::Tensor first = run.optimizer.state()[0].tensor.clone();
  const at::Tensor second = run.optimizer.state()[1].tensor.clone();
  const StepResult result =
      run_step(run.model, run.optimizer, whole_, {.index = 1, .learning_rate = 1e-3}, {});
  EXPECT_EQ(result.outcome, StepOutcome::kNotFinite);
  EXPECT_TRUE(parameters.equal(before));
  EXPECT_TRUE(run.optimizer.state()[0].tensor.equal(first));
  EXPECT_TRUE(run.optimizer.state()[1].tensor.equal(second));
  EXPECT_EQ(run.optimizer.num_updates(), 1);
  // The used gradient buffer does not spoil the next step.
  parameters[3] = sound;
  EXPECT_EQ(
      run_step(run.model, run.optimizer, whole_, {.index = 1, .learning_rate = 1e-3}, {}).outcome,
      StepOutcome::kUpdated);
  EXPECT_TRUE(parameters.isfinite().all().item<bool>());
}

TEST_F(Step, AStoppedStepLeavesParametersAndMomentsAlone) {
  TinyRun run(folder_, {});
  run_step(run.model, run.optimizer, whole_, {.learning_rate = 1e-3}, {});
  const at::Tensor before = run.parameters().clone();
  const at::Tensor first = run.optimizer.state()[0].tensor.clone();
  int asked = 0;
  StepOptions options;
  options.should_stop = [&] { return ++asked == 2; };
  const StepResult result = run_step(run.model, run.optimizer, batch({{0}, {1}, {2}, {3}}),
                                     {.index = 1, .learning_rate = 1e-3}, options);
  EXPECT_EQ(result.outcome, StepOutcome::kStopped);
  EXPECT_EQ(asked, 2) << "asked before every micro-batch";
  EXPECT_TRUE(run.parameters().equal(before));
  EXPECT_TRUE(run.optimizer.state()[0].tensor.equal(first));
  EXPECT_EQ(run.optimizer.num_updates(), 1);
}

// The limit strikes at another place of the step each time: forward, head, backward, recomputation.
TEST_F(Step, AStepThatRunsOutOfMemoryCanBeRunAgain) {
  TinyRun run(folder_, {.dropout = 0.1});
  TinyRun unbroken(folder_, {.dropout = 0.1});
  const StepPosition position{.index = 4, .learning_rate = 1e-3};
  const StepOptions options{.memory = {.num_recomputed = 1}};
  const int64_t peak = rung::testing::taken_by(memory::cpu_counter(), [&] {
                         run_step(unbroken.model, unbroken.optimizer, whole_, position, options);
                       }).peak;
  memory::Counter& counter = memory::cpu_counter();
  const at::Tensor before = run.parameters().clone();
  const int64_t live = counter.usage().live;
  for (int64_t part = 0; part < 32; ++part) {
    counter.set_limit(live + counter.usage().library + 64 + (peak - 128) * part / 31);
    EXPECT_THROW(run_step(run.model, run.optimizer, whole_, position, options),
                 c10::OutOfMemoryError)
        << part;
    counter.set_limit(0);
    ASSERT_EQ(counter.usage().live, live) << "nothing is left behind";
  }
  EXPECT_TRUE(run.parameters().equal(before));
  run_step(run.model, run.optimizer, whole_, position, options);
  EXPECT_TRUE(run.parameters().equal(unbroken.parameters()));
}

// torch.nn.utils.clip_grad_norm_: gradient * min(1, max_norm / (norm + 1e-6)).
TEST_F(Step, ClippingEqualsTorch) {
  for (const double max_grad_norm : {0.0, 1e-3, 0.5, 1e3}) {
    TinyRun run(folder_, {});
    const StepResult result = run_step(run.model, run.optimizer, whole_, {.learning_rate = 1e-3},
                                       {.max_grad_norm = max_grad_norm});
    const at::Tensor gradients = run.gradients().to(at::kDouble);
    const double norm = gradients.norm().item<double>();
    EXPECT_NEAR(result.grad_norm, norm, 1e-6 * norm) << "the norm before clipping";
    const double factor = max_grad_norm > 0.0 ? std::min(1.0, max_grad_norm / (norm + 1e-6)) : 1.0;
    // The first moment after one update is 0.1 of the clipped gradient.
    EXPECT_LE(relative_error(run.optimizer.state()[0].tensor, gradients * (0.1 * factor)), 1e-6)
        << max_grad_norm;
  }
}

TEST_F(Step, MovesEveryPair) {
  TinyRun run(folder_, {});
  const auto before = run.model.adapter().tensors();
  run_step(run.model, run.optimizer, whole_, {.learning_rate = 1e-3}, {});
  const auto after = run.model.adapter().tensors();
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_NE(before[i].a, after[i].a) << before[i].module;
    EXPECT_NE(before[i].b, after[i].b) << before[i].module;
  }
}

}  // namespace
}  // namespace rung::step
