// A training step on the meta device takes, to the byte, what it takes on the CPU: planning rests
// on it.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "model/transformer.h"
#include "step/step.h"
#include "tests/support/counting.h"
#include "tests/support/tiny_transformer.h"

namespace rung::step {
namespace {

using memory::Component;
using rung::testing::Measured;
using rung::testing::Taken;
using rung::testing::TinyFolder;

struct Case {
  std::string name;
  nlohmann::json config = rung::testing::tiny_llama();
  model::BaseFormat base = model::BaseFormat::kNf4;
  c10::ScalarType compute = c10::kFloat;
  int64_t num_recomputed = 0;
  double dropout = 0.0;
  std::vector<std::string> targets;  // endings; empty: every linear
  // The rest of what trades time for memory.
  model::MemorySettings memory = {};
  bool embedding_on_host = false;
  int64_t num_streamed = 0;
};

// What building the model and one training step take.
struct Figures {
  Taken model;
  Taken step;
};

std::vector<std::string> targets_of(const Case& c, const model::Transformer& model) {
  std::vector<std::string> modules;
  for (const std::string& module : model.linear_modules()) {
    const bool wanted = c.targets.empty() || std::ranges::any_of(c.targets, [&](const auto& end) {
                          return module.ends_with(end);
                        });
    if (wanted) modules.push_back(module);
  }
  return modules;
}

// Two micro-batches: one packed of three documents, one of a single token less.
data::StepBatch batch() {
  static const std::vector<int64_t> lengths = {37, 5, 22, 63};
  const auto examples = rung::testing::random_examples(lengths, 3);
  return rung::testing::step_batch(examples, {{0, 1, 2}, {3}});
}

Figures figures(const Case& c, const format::ModelConfig& config,
                const format::ModelFolder* folder) {
  memory::Counter& counter = folder == nullptr ? memory::meta_counter() : memory::cpu_counter();
  Figures result;
  const Measured building(counter);
  model::Transformer model(config, folder,
                           {.compute = c.compute,
                            .base = c.base,
                            .max_positions = 64,
                            .device = folder == nullptr ? c10::kMeta : c10::kCPU,
                            .embedding_on_host = c.embedding_on_host,
                            .num_streamed = c.num_streamed});
  model.add_adapter(
      {.r = 4, .scaling = 2.0, .dropout = c.dropout, .modules = targets_of(c, model)});
  model.adapter().initialize(InitLora::kKaiming, 1);
  Optimizer optimizer(model.adapter().parameters(), {});
  result.model = building.taken();
  const data::StepBatch step_batch = batch();
  StepOptions options{.memory = c.memory};
  options.memory.num_recomputed = c.num_recomputed;
  // The second step shows what the first one left behind.
  for (int64_t index = 0; index < 2; ++index) {
    const Measured running(counter);
    const StepResult done =
        run_step(model, optimizer, step_batch, {.index = index, .learning_rate = 1e-3}, options);
    EXPECT_EQ(done.outcome, StepOutcome::kUpdated);
    const Taken taken = running.taken();
    if (index > 0) EXPECT_EQ(taken, result.step) << "the second step differs from the first";
    result.step = taken;
  }
  return result;
}

class MetaStep : public ::testing::TestWithParam<Case> {};

TEST_P(MetaStep, TakesWhatTheCpuTakes) {
  const TinyFolder folder(GetParam().config);
  const Figures cpu = figures(GetParam(), folder.config(), &folder.folder());
  const Figures meta = figures(GetParam(), folder.config(), nullptr);
  EXPECT_EQ(meta.model.live, cpu.model.live);
  EXPECT_EQ(meta.model.live_by_component, cpu.model.live_by_component);
  EXPECT_EQ(meta.step, cpu.step);
  EXPECT_EQ(cpu.step.live, 0) << "a step leaves nothing behind";
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const std::vector<std::pair<std::string, nlohmann::json>> families = {
      {"Llama", rung::testing::tiny_llama()},
      {"Qwen2", rung::testing::tiny_qwen2()},
      {"Qwen3", rung::testing::tiny_qwen3()}};
  const std::vector<std::pair<std::string, model::BaseFormat>> bases = {
      {"Dense", model::BaseFormat::kDense},
      {"Nf4", model::BaseFormat::kNf4},
      {"Nf4DoubleQuant", model::BaseFormat::kNf4DoubleQuant}};
  for (const auto& [family, config] : families) {
    for (const auto& [base_name, base] : bases) {
      for (const c10::ScalarType compute : {c10::kFloat, c10::kBFloat16}) {
        for (const int64_t num_recomputed : {0, 2, 3}) {
          for (const double dropout : {0.0, 0.25}) {
            all.push_back({.name = family + base_name + (compute == c10::kFloat ? "Fp32" : "Bf16") +
                                   "Recompute" + std::to_string(num_recomputed) +
                                   (dropout > 0.0 ? "Dropout" : ""),
                           .config = config,
                           .base = base,
                           .compute = compute,
                           .num_recomputed = num_recomputed,
                           .dropout = dropout});
          }
        }
      }
    }
  }
  all.push_back({.name = "SomeTargets", .num_recomputed = 1, .targets = {"q_proj", "v_proj"}});
  using model::Checkpoints;
  using model::Dequantisation;
  all.push_back({.name = "InputsOnTheHost",
                 .num_recomputed = 2,
                 .memory = {.checkpoints = Checkpoints::kOnHost}});
  all.push_back({.name = "InputsOnTheHostAllRecomputedBf16",
                 .compute = c10::kBFloat16,
                 .num_recomputed = 3,
                 .memory = {.checkpoints = Checkpoints::kOnHost}});
  all.push_back({.name = "TiledMlp", .num_recomputed = 2, .memory = {.mlp_tile = 20}});
  all.push_back({.name = "TiledMlpOnceABlockDropout",
                 .num_recomputed = 3,
                 .dropout = 0.25,
                 .memory = {.dequantisation = Dequantisation::kOnceABlock, .mlp_tile = 20}});
  all.push_back({.name = "EmbeddingOnTheHost", .embedding_on_host = true});
  for (const int64_t num_streamed : {1, 2, 3}) {
    all.push_back({.name = "Streamed" + std::to_string(num_streamed),
                   .base = model::BaseFormat::kNf4DoubleQuant,
                   .num_recomputed = 2,
                   .num_streamed = num_streamed});
  }
  all.push_back({.name = "Everything",
                 .compute = c10::kBFloat16,
                 .num_recomputed = 2,
                 .dropout = 0.1,
                 .memory = {.dequantisation = Dequantisation::kOnceABlock,
                            .checkpoints = Checkpoints::kOnHost,
                            .mlp_tile = 40},
                 .embedding_on_host = true,
                 .num_streamed = 3});
  all.push_back({.name = "Fp16", .compute = c10::kHalf, .num_recomputed = 1, .dropout = 0.25});
  all.push_back({.name = "SomeTargetsDropoutBf16",
                 .compute = c10::kBFloat16,
                 .dropout = 0.1,
                 .targets = {"k_proj", "up_proj", "down_proj"}});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Shapes, MetaStep, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rung::step
