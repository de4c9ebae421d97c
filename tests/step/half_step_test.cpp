// Training in 16 bits follows training in fp32 from B = 0 on: the first updates are far below the
// rounding step of 16-bit activations and must not be lost.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "step/step.h"
#include "tests/support/counting.h"
#include "tests/support/tiny_run.h"

namespace rung::step {
namespace {

using rung::testing::StartB;
using rung::testing::TinyFolder;
using rung::testing::TinyRun;

constexpr int64_t kSteps = 12;

std::vector<double> losses(const TinyFolder& folder, c10::ScalarType compute,
                           model::BaseFormat base) {
  const std::vector<int64_t> lengths = {60, 61, 62, 63, 58, 59};
  const auto examples = rung::testing::random_examples(lengths, 3);
  const data::StepBatch batch = rung::testing::step_batch(examples, {{0, 1, 2}, {3, 4, 5}});
  TinyRun run(folder, {.compute = compute, .base = base, .b = StartB::kZero});
  LossScale scale;
  const StepOptions options{.loss_scale = compute == c10::kHalf ? &scale : nullptr};
  std::vector<double> result;
  for (int64_t index = 0; index < kSteps; ++index) {
    result.push_back(
        run_step(run.model, run.optimizer, batch, {.index = index, .learning_rate = 2e-4}, options)
            .loss);
  }
  return result;
}

struct Case {
  std::string name;
  nlohmann::json config;
  model::BaseFormat base;
};

class HalfStep : public ::testing::TestWithParam<Case> {
 protected:
  void expect_learns_as_much_as_fp32(c10::ScalarType compute) {
    // Weights that bf16 holds exactly (and fp16, but for the tiniest): the runs differ by the
    // rounding of activations alone.
    const TinyFolder folder(GetParam().config, format::DType::kBF16);
    const std::vector<double> fp32 = losses(folder, c10::kFloat, GetParam().base);
    const std::vector<double> half = losses(folder, compute, GetParam().base);
    const double learnt = fp32.front() - fp32.back();
    ASSERT_GT(learnt, 1e-3);
    for (size_t step = 1; step < fp32.size(); ++step) {
      EXPECT_NEAR(half.front() - half[step], fp32.front() - fp32[step], 0.1 * learnt)
          << "after step " << step;
    }
  }
};

TEST_P(HalfStep, Bf16LearnsAsMuchAsFp32) { expect_learns_as_much_as_fp32(c10::kBFloat16); }

TEST_P(HalfStep, Fp16LearnsAsMuchAsFp32) { expect_learns_as_much_as_fp32(c10::kHalf); }

INSTANTIATE_TEST_SUITE_P(
    Models, HalfStep,
    ::testing::Values(Case{"LlamaDense", rung::testing::tiny_llama(), model::BaseFormat::kDense},
                      Case{"LlamaNf4", rung::testing::tiny_llama(), model::BaseFormat::kNf4},
                      Case{"Qwen3Dense", rung::testing::tiny_qwen3(), model::BaseFormat::kDense}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rung::step
