#include "fit/evaluation_memory.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "step/optimizer.h"
#include "tests/support/counting.h"
#include "tests/support/tiny_transformer.h"

namespace rung::fit {
namespace {

using rung::testing::TinyFolder;

data::MicroBatch batch(const std::vector<int64_t>& lengths) {
  const auto examples = rung::testing::random_examples(lengths, 3);
  std::vector<int64_t> all(lengths.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  return data::make_micro_batch(examples, all);
}

struct Case {
  std::string name;
  model::BaseFormat base = model::BaseFormat::kNf4;
  c10::ScalarType compute = c10::kFloat;
  bool has_adapter = true;
  std::optional<step::OptimizerOptions> optimizer = step::OptimizerOptions{};
};

class EvaluationMemory : public ::testing::TestWithParam<Case> {
 protected:
  EvaluationShape shape(const std::vector<int64_t>& lengths) const {
    const Case& c = GetParam();
    EvaluationShape shape{.config = folder_.config(),
                          .model = {.compute = c.compute, .base = c.base, .max_positions = 128},
                          .optimizer = c.optimizer,
                          .batch = batch(lengths)};
    if (c.has_adapter) shape.adapter = {.r = 4, .modules = {"model.layers.0.self_attn.q_proj"}};
    return shape;
  }
  TinyFolder folder_{rung::testing::tiny_llama()};
};

TEST_P(EvaluationMemory, EqualsWhatTheCpuTakes) {
  const EvaluationShape s = shape({100, 60, 3});
  const rung::testing::Measured measured(memory::cpu_counter());
  model::Transformer model(s.config, &folder_.folder(), s.model);
  if (s.adapter) {
    model.add_adapter(*s.adapter);
    model.adapter().initialize(InitLora::kKaiming, 1);
  }
  std::optional<step::Optimizer> optimizer;
  if (s.optimizer) optimizer.emplace(model.adapter().parameters(), *s.optimizer);
  model.loss(s.batch);
  const rung::testing::Taken cpu = measured.taken();
  const memory::Usage plan = evaluation_memory(s);
  EXPECT_EQ(plan.peak, cpu.peak);
  EXPECT_EQ(plan.at_peak, cpu.at_peak);
}

TEST_P(EvaluationMemory, GrowsWithTheBatch) {
  EXPECT_LT(evaluation_memory(shape({100})).peak, evaluation_memory(shape({100, 100})).peak);
}

TEST_P(EvaluationMemory, LeavesNothingOnTheMetaDevice) {
  evaluation_memory(shape({10}));
  EXPECT_EQ(memory::meta_counter().usage().live, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EvaluationMemory,
    ::testing::Values(Case{.name = "InTraining"},
                      Case{.name = "InTrainingBf16", .compute = c10::kBFloat16},
                      Case{.name = "Dense", .base = model::BaseFormat::kDense, .optimizer = {}},
                      Case{.name = "BaseAlone", .has_adapter = false, .optimizer = {}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rung::fit
