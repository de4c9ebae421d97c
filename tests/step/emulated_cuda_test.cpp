// Whole training steps on the CUDA kernels (emulated) against the CPU's: loading, forward, backward
// with and without recomputation, gradient norm, update. Attention and GEMMs are the CPU's.
#include <gtest/gtest.h>

#include "step/step.h"
#include "tests/support/emulation/kernel_set.h"
#include "tests/support/emulation/schedules.h"
#include "tests/support/tiny_run.h"

namespace rung::step {
namespace {

using emulation::EmulatedKernels;
using rung::testing::relative_error;
using rung::testing::TinyFolder;
using rung::testing::TinyRun;
using rung::testing::TinyRunOptions;

struct Family {
  std::string name;
  nlohmann::json config;
};

struct Outcome {
  StepResult result;
  at::Tensor gradients;   // of the last step
  at::Tensor parameters;  // after it
};

Outcome train(const TinyFolder& folder, const TinyRunOptions& run_options, StepOptions options) {
  const std::vector<int64_t> lengths = {9, 17, 1, 12};
  const std::vector<data::Example> examples = rung::testing::random_examples(lengths, 3);
  const std::vector<int64_t> first = {0, 1};
  const std::vector<int64_t> second = {2, 3};
  const data::StepBatch batch{.micro_batches = {data::make_micro_batch(examples, first),
                                                data::make_micro_batch(examples, second)}};
  TinyRun run(folder, run_options);
  LossScale scale;
  if (run_options.compute == c10::kHalf) options.loss_scale = &scale;
  Outcome outcome;
  for (int64_t index = 0; index < 2; ++index) {
    outcome.result =
        run_step(run.model, run.optimizer, batch, {.index = index, .learning_rate = 1e-3}, options);
  }
  outcome.gradients = run.gradients().clone();
  outcome.parameters = run.parameters().clone();
  return outcome;
}

class EmulatedCuda : public ::testing::TestWithParam<Family> {
 protected:
  void expect_as_on_cpu(const TinyRunOptions& options, double tolerance) {
    const TinyFolder folder(GetParam().config);
    for (const int64_t num_recomputed : {0, 2}) {
      const StepOptions step{.memory = {.num_recomputed = num_recomputed}, .seed = 7};
      const Outcome cpu = train(folder, options, step);
      for (const emulation::Schedule& schedule :
           {emulation::kSchedules[1], emulation::kSchedules[2]}) {
        const EmulatedKernels kernels(schedule);
        const Outcome cuda = train(folder, options, step);
        EXPECT_GT(kernels.num_launches(), 100);
        EXPECT_NEAR(cuda.result.loss, cpu.result.loss, tolerance * cpu.result.loss);
        EXPECT_NEAR(cuda.result.grad_norm, cpu.result.grad_norm, tolerance * cpu.result.grad_norm);
        EXPECT_LE(relative_error(cuda.gradients, cpu.gradients), tolerance);
        EXPECT_LE(relative_error(cuda.parameters, cpu.parameters), tolerance);
      }
    }
  }
};

// Sums in another order and another exp: some 1e-6. The second step's gradient follows AdamW's
// first update, which is close to the sign of the gradient and amplifies noise in tiny elements.
constexpr double kFp32 = 1e-4;
// A value near a rounding boundary may go the other way, and moves what comes after it by 2^-8.
constexpr double kBf16 = 3e-2;
constexpr double kFp16 = 1e-2;

TEST_P(EmulatedCuda, TrainsOnADenseBaseAsTheCpuDoes) { expect_as_on_cpu({}, kFp32); }

TEST_P(EmulatedCuda, TrainsOnNf4AsTheCpuDoes) {
  expect_as_on_cpu({.base = model::BaseFormat::kNf4}, kFp32);
}

TEST_P(EmulatedCuda, TrainsOnNf4WithDoubleQuantisationAndDropoutAsTheCpuDoes) {
  expect_as_on_cpu({.base = model::BaseFormat::kNf4DoubleQuant, .dropout = 0.1}, kFp32);
}

TEST_P(EmulatedCuda, TrainsInBf16AsTheCpuDoes) {
  expect_as_on_cpu({.compute = c10::kBFloat16, .base = model::BaseFormat::kNf4}, kBf16);
}

TEST_P(EmulatedCuda, TrainsInFp16AsTheCpuDoes) {
  expect_as_on_cpu({.compute = c10::kHalf, .base = model::BaseFormat::kNf4}, kFp16);
}

INSTANTIATE_TEST_SUITE_P(Families, EmulatedCuda,
                         ::testing::Values(Family{"Llama", rung::testing::tiny_llama()},
                                           Family{"Qwen2", rung::testing::tiny_qwen2()},
                                           Family{"Qwen3", rung::testing::tiny_qwen3()}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rung::step
