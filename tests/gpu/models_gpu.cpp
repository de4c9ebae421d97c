// Whole models on a GPU against the CPU, and what only a GPU can show: its memory.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "fit/step_memory.h"
#include "memory/counting_allocator.h"
#include "ops/attention.h"
#include "step/step.h"
#include "tests/gpu/open_gpu.h"
#include "tests/support/counting.h"
#include "tests/support/tensors.h"
#include "tests/support/tiny_transformer.h"

namespace rung::step {
namespace {

using model::BaseFormat;
using model::Checkpoints;
using model::Dequantisation;
using rung::testing::gpu;
using rung::testing::relative_error;
using rung::testing::TinyFolder;

// Sizes that tensor cores like, as those of real models are.
nlohmann::json small(nlohmann::json config) {
  config.update({{"vocab_size", 512},
                 {"hidden_size", 128},
                 {"intermediate_size", 256},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},
                 {"head_dim", 32},
                 {"max_position_embeddings", 1024}});
  return config;
}

// Five documents in two micro-batches.
data::StepBatch small_batch(const std::vector<int64_t>& lengths) {
  const auto examples = rung::testing::random_examples(lengths, 3);
  return rung::testing::step_batch(examples, {{0, 1, 2}, {3, 4}});
}

struct Setting {
  c10::ScalarType compute = c10::kBFloat16;
  BaseFormat base = BaseFormat::kNf4;
  double dropout = 0.0;
  model::MemorySettings memory = {};
  bool embedding_on_host = false;
  int64_t num_streamed = 0;
  bool deterministic = false;
  int64_t cudnn_attention_length = 0;
  std::vector<int64_t> lengths = {90, 17, 1, 120, 64};
};

struct Outcome {
  std::vector<double> losses;
  double grad_norm = 0.0;
  at::Tensor gradients;   // of the first step, on the CPU
  at::Tensor parameters;  // after the last
};

Outcome train(const TinyFolder& folder, const Setting& setting, c10::Device device, int64_t steps,
              double learning_rate) {
  model::Transformer model(
      folder.config(), &folder.folder(),
      {.compute = setting.compute,
       .base = setting.base,
       .max_positions = 1024,
       .device = device,
       .stands_for = device.type(),
       .deterministic_multiprocessors = setting.deterministic ? gpu().num_multiprocessors() : 0,
       .cudnn_attention_length = setting.cudnn_attention_length,
       .embedding_on_host = setting.embedding_on_host,
       .num_streamed = setting.num_streamed});
  model.add_adapter(
      {.r = 8, .scaling = 2.0, .dropout = setting.dropout, .modules = model.linear_modules()});
  model.adapter().initialize(InitLora::kKaiming, 5);
  at::Tensor flat = model.adapter().parameters();
  flat.add_(rung::testing::random_tensor(flat.sizes(), 6, c10::kFloat, 0.02).to(flat.device()));
  Optimizer optimizer(flat, {});
  LossScale scale;
  StepOptions options{.memory = setting.memory, .seed = 7};
  if (setting.compute == c10::kHalf) options.loss_scale = &scale;
  Outcome outcome;
  const data::StepBatch batch = small_batch(setting.lengths);
  for (int64_t index = 0; index < steps; ++index) {
    const StepResult result = run_step(model, optimizer, batch,
                                       {.index = index, .learning_rate = learning_rate}, options);
    outcome.losses.push_back(result.loss);
    if (index > 0) continue;
    outcome.grad_norm = result.grad_norm;
    outcome.gradients =
        model.adapter().gradients().cpu().div(options.loss_scale ? scale.value() : 1.0);
  }
  outcome.parameters = flat.cpu().clone();
  return outcome;
}

// A 16-bit value near a rounding boundary may go the other way and moves what comes after it; in
// fp32 only the order of sums differs.
double tolerance_of(c10::ScalarType compute) {
  if (compute == c10::kFloat) return 1e-4;
  return compute == c10::kHalf ? 1e-2 : 5e-2;
}

void expect_near(const Outcome& gpu, const Outcome& cpu, double tolerance) {
  EXPECT_NEAR(gpu.losses.front(), cpu.losses.front(), 0.1 * tolerance * cpu.losses.front());
  EXPECT_NEAR(gpu.grad_norm, cpu.grad_norm, tolerance * cpu.grad_norm);
  EXPECT_LE(relative_error(gpu.gradients, cpu.gradients), tolerance);
}

struct Family {
  std::string name;
  nlohmann::json config;
};

class ModelOnGpu : public ::testing::TestWithParam<Family> {};

TEST_P(ModelOnGpu, TrainsAsTheCpuDoes) {
  const TinyFolder folder(small(GetParam().config));
  for (const c10::ScalarType compute : {c10::kFloat, c10::kBFloat16, c10::kHalf}) {
    for (const BaseFormat base :
         {BaseFormat::kDense, BaseFormat::kNf4, BaseFormat::kNf4DoubleQuant}) {
      for (const double dropout : {0.0, 0.1}) {
        for (const int64_t num_recomputed : {0, 2}) {
          SCOPED_TRACE(::testing::Message()
                       << c10::toString(compute) << ", base " << static_cast<int>(base)
                       << ", dropout " << dropout << ", " << num_recomputed << " recomputed");
          const Setting setting{.compute = compute,
                                .base = base,
                                .dropout = dropout,
                                .memory = {.num_recomputed = num_recomputed}};
          expect_near(train(folder, setting, gpu().torch_device(), 1, 1e-3),
                      train(folder, setting, c10::kCPU, 1, 1e-3), tolerance_of(compute));
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ModelOnGpu,
                         ::testing::Values(Family{"Llama", rung::testing::tiny_llama()},
                                           Family{"Qwen2", rung::testing::tiny_qwen2()},
                                           Family{"Qwen3", rung::testing::tiny_qwen3()}),
                         [](const auto& of) { return of.param.name; });

class MemoryOnGpu : public ::testing::Test {
 protected:
  Outcome run(const Setting& setting, int64_t steps = 1) {
    return train(folder_, setting, gpu().torch_device(), steps, 1e-3);
  }
  TinyFolder folder_{small(rung::testing::tiny_llama())};
};

// Rows that documents fill, kept and recomputed.
TEST_F(MemoryOnGpu, CudnnTrainsAsFlashAndTheCpuDo) {
  if (!ops::prefers_cudnn(gpu().architecture(), 32, 1024)) GTEST_SKIP() << "not on this GPU";
  for (const c10::ScalarType compute : {c10::kBFloat16, c10::kHalf}) {
    for (const int64_t num_recomputed : {0, 2}) {
      SCOPED_TRACE(::testing::Message()
                   << c10::toString(compute) << ", " << num_recomputed << " recomputed");
      Setting setting{.compute = compute,
                      .memory = {.num_recomputed = num_recomputed},
                      .lengths = std::vector<int64_t>(5, 1024)};
      const Outcome cpu = train(folder_, setting, c10::kCPU, 1, 1e-3);
      const Outcome flash = run(setting);
      setting.cudnn_attention_length = 1024;
      const Outcome cudnn = run(setting);
      expect_near(cudnn, cpu, tolerance_of(compute));
      expect_near(cudnn, flash, tolerance_of(compute));
    }
  }
}

class DeterministicOnGpu : public MemoryOnGpu {};

// With sums in a fixed order two runs end with the same bits. Attention's backward pass takes keys
// 64 or 128 at a time: only sums of three blocks and more can differ with their order.
TEST_F(DeterministicOnGpu, ARunRepeatsItself) {
  if (!rung::testing::runs_deterministic_suite_alone()) {
    GTEST_SKIP() << "needs a process of its own: --gtest_filter=DeterministicOnGpu.*";
  }
  const Setting setting{.deterministic = true, .lengths = {500, 17, 1, 450, 64}};
  const Outcome first = run(setting, 5);
  const Outcome second = run(setting, 5);
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_TRUE(first.parameters.equal(second.parameters));
}

TEST_F(MemoryOnGpu, WhatIsTradedForMemoryLeavesTheGradients) {
  const Outcome plain = run({});
  const std::vector<Setting> settings = {
      {.memory = {.num_recomputed = 3}},
      {.memory = {.num_recomputed = 3, .dequantisation = Dequantisation::kOnceABlock}},
      {.memory = {.num_recomputed = 3, .checkpoints = Checkpoints::kOnHost}},
      {.memory = {.num_recomputed = 2, .checkpoints = Checkpoints::kOnHost}},
      {.memory = {.num_recomputed = 3, .mlp_tile = 64}},
      {.embedding_on_host = true},
      {.memory = {.num_recomputed = 3}, .num_streamed = 3},
      {.num_streamed = 1},
      {.memory = {.num_recomputed = 2,
                  .dequantisation = Dequantisation::kOnceABlock,
                  .checkpoints = Checkpoints::kOnHost,
                  .mlp_tile = 64},
       .embedding_on_host = true,
       .num_streamed = 3}};
  for (size_t i = 0; i < settings.size(); ++i) {
    SCOPED_TRACE(i);
    const Outcome traded = run(settings[i]);
    EXPECT_NEAR(traded.losses.front(), plain.losses.front(), 1e-3);
    // Attention's backward pass adds in an order that varies.
    EXPECT_LE(relative_error(traded.gradients, plain.gradients), 1e-2);
  }
}

TEST_F(MemoryOnGpu, LearnsABatchByHeart) {
  const Outcome outcome = train(folder_, {}, gpu().torch_device(), 150, 1e-2);
  RecordProperty("first_loss", std::to_string(outcome.losses.front()));
  RecordProperty("last_loss", std::to_string(outcome.losses.back()));
  EXPECT_LT(outcome.losses.back(), 0.1 * outcome.losses.front());
}

TEST_F(MemoryOnGpu, PastTheLimitAStepThrowsAndTheNextOneIsRight) {
  const Outcome expected = run({});
  gpu().release_cached();
  const int64_t held = gpu().reserved() + gpu().other();
  gpu().set_limit(held + (int64_t{1} << 20));
  EXPECT_THROW(run({}), c10::OutOfMemoryError);
  gpu().set_limit(gpu().total_memory());
  EXPECT_LE(relative_error(run({}).gradients, expected.gradients), 1e-2);
}

// configs/shapes.yaml has real shapes; these are large enough for the figures to mean something.
TEST_F(MemoryOnGpu, ReservesWhatIsPlanned) {
  nlohmann::json config = rung::testing::deep_llama(8);
  config.update({{"vocab_size", 32000},
                 {"hidden_size", 1024},
                 {"intermediate_size", 2816},
                 {"num_attention_heads", 16},
                 {"num_key_value_heads", 4},
                 {"head_dim", 64},
                 {"max_position_embeddings", 2048}});
  const TinyFolder folder(config, format::DType::kBF16);
  const auto examples = rung::testing::random_examples(std::vector<int64_t>{2048, 2048}, 3);
  const data::StepBatch batch = rung::testing::step_batch(examples, {{0, 1}});
  double worst = 0.0;
  for (const int64_t num_recomputed : {0, 4, 8}) {
    for (const bool offload : {false, true}) {
      fit::StepShape shape{
          .config = folder.config(),
          .model = {.compute = c10::kBFloat16,
                    .max_positions = 2048,
                    .device = gpu().torch_device(),
                    .stands_for = c10::kCUDA},
          .adapter = {.r = 16},
          .batch = batch,
          .memory = {.num_recomputed = num_recomputed,
                     .checkpoints = offload ? Checkpoints::kOnHost : Checkpoints::kOnDevice}};
      gpu().release_cached();
      const int64_t before = gpu().reserved();
      int64_t measured = 0;
      {
        model::Transformer model(shape.config, &folder.folder(), shape.model);
        shape.adapter.modules = model.linear_modules();
        model.add_adapter(shape.adapter);
        model.adapter().initialize(InitLora::kKaiming, 1);
        Optimizer optimizer(model.adapter().parameters(), {});
        run_step(model, optimizer, batch, {}, {.memory = shape.memory});
        measured = gpu().reserved() - before;
      }
      const int64_t planned = fit::step_peak(shape);
      const double error = static_cast<double>(planned - measured) / static_cast<double>(measured);
      RecordProperty("plan_error_" + std::to_string(num_recomputed) + (offload ? "_offload" : ""),
                     std::to_string(error));
      if (std::abs(error) > std::abs(worst)) worst = error;
    }
  }
  RecordProperty("plan_error_worst", std::to_string(worst));
  EXPECT_LE(std::abs(worst), 0.10);
}

}  // namespace
}  // namespace rung::step
