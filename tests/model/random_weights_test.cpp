#include "model/random_weights.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "model/transformer.h"
#include "model/weight_reader.h"
#include "tests/support/counting.h"
#include "tests/support/tiny_transformer.h"

namespace rung::model {
namespace {

using rung::testing::Measured;
using rung::testing::Taken;

constexpr const char* kLinear = "model.layers.0.mlp.up_proj.weight";

at::Tensor draw(const std::string& name, int64_t first, int64_t count, uint64_t seed = 1) {
  const RandomWeights source(seed, c10::kCPU);
  at::Tensor piece = at::empty({count}, at::TensorOptions().dtype(source.dtype(name)));
  source.read(name, first, piece);
  return piece;
}

double mean(const at::Tensor& x) { return x.to(c10::kDouble).mean().item<double>(); }
double deviation(const at::Tensor& x) { return x.to(c10::kDouble).std().item<double>(); }

TEST(RandomWeights, AreAFunctionOfSeedAndName) {
  EXPECT_TRUE(draw(kLinear, 0, 1025).equal(draw(kLinear, 0, 1025)));
  EXPECT_FALSE(draw(kLinear, 0, 1025).equal(draw(kLinear, 0, 1025, /*seed=*/2)));
  EXPECT_FALSE(draw(kLinear, 0, 1025).equal(draw("model.layers.1.mlp.up_proj.weight", 0, 1025)));
}

TEST(RandomWeights, ArriveInPiecesAsTheyDoWhole) {
  const at::Tensor whole = draw(kLinear, 0, 100'000);
  for (const int64_t first : {1, 32'768, 99'999}) {
    EXPECT_TRUE(draw(kLinear, first, 100'000 - first).equal(whole.slice(0, first)));
  }
}

TEST(RandomWeights, DoNotDependOnTheNumberOfThreads) {
  const at::Tensor one = draw(kLinear, 0, 300'000);
  at::set_num_threads(3);
  const at::Tensor three = draw(kLinear, 0, 300'000);
  at::set_num_threads(1);
  EXPECT_TRUE(one.equal(three));
}

TEST(RandomWeights, OfLinearsAreSpreadAroundZeroAndOfNormsAroundOne) {
  for (const char* name :
       {kLinear, "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.bias"}) {
    EXPECT_NEAR(mean(draw(name, 0, 1 << 20)), 0.0, 1e-4) << name;
    EXPECT_NEAR(deviation(draw(name, 0, 1 << 20)), 0.02, 1e-4) << name;
  }
  for (const char* name : {"model.norm.weight", "model.layers.0.input_layernorm.weight",
                           "model.layers.0.self_attn.q_norm.weight"}) {
    EXPECT_NEAR(mean(draw(name, 0, 1 << 20)), 1.0, 1e-4) << name;
    EXPECT_NEAR(deviation(draw(name, 0, 1 << 20)), 0.02, 1e-4) << name;
  }
}

// What a GPU does, here with the CPU's generator.
TEST(RandomWeights, FromAGeneratorAreAFunctionOfTheKey) {
  at::Tensor a = at::empty({1 << 20}, at::TensorOptions().dtype(c10::kFloat));
  at::Tensor b = at::empty_like(a);
  fill_by_generator(a, {.mean = 1.0, .deviation = 0.02}, 7);
  fill_by_generator(b, {.mean = 1.0, .deviation = 0.02}, 7);
  EXPECT_TRUE(a.equal(b));
  EXPECT_NEAR(mean(a), 1.0, 1e-4);
  EXPECT_NEAR(deviation(a), 0.02, 1e-4);
  fill_by_generator(b, {.mean = 1.0, .deviation = 0.02}, 8);
  EXPECT_FALSE(a.equal(b));
}

// A matrix of more than one piece, the last of which is not full.
TEST(RandomWeights, AreQuantisedPieceByPieceAsTheyWouldBeWhole) {
  constexpr int64_t kRows = 1100;
  constexpr int64_t kColumns = 1024;
  for (const BaseFormat format : {BaseFormat::kNf4, BaseFormat::kNf4DoubleQuant}) {
    const WeightReader reader(std::make_unique<RandomWeights>(1, c10::kCPU), {.format = format});
    const auto got = reader.quantized(kLinear, kRows, kColumns).nf4();
    const auto expected = ops::FrozenWeight::quantize(
        draw(kLinear, 0, kRows * kColumns),
        format == BaseFormat::kNf4 ? ops::DoubleQuant::kOff : ops::DoubleQuant::kOn);
    EXPECT_TRUE(got.codes.equal(expected.codes));
    if (format == BaseFormat::kNf4) {
      EXPECT_TRUE(got.absmax.equal(expected.absmax));
    } else {
      EXPECT_TRUE(got.absmax_codes.equal(expected.absmax_codes));
    }
  }
}

Taken taken_by_model(c10::Device device) {
  memory::Counter& counter = device.is_meta() ? memory::meta_counter() : memory::cpu_counter();
  const format::ModelConfig config = format::read_model_config(rung::testing::tiny_qwen3(), "tiny");
  const Measured measured(counter);
  const Transformer model(config,
                          device.is_meta() ? nullptr : std::make_unique<RandomWeights>(1, device),
                          {.base = BaseFormat::kNf4, .max_positions = 64, .device = device});
  return measured.taken();
}

TEST(RandomWeights, TakeWhatTheShapeOnlyModelTakes) {
  const Taken random = taken_by_model(c10::kCPU);
  const Taken meta = taken_by_model(c10::kMeta);
  EXPECT_EQ(random.live, meta.live);
  EXPECT_EQ(random.live_by_component, meta.live_by_component);
}

}  // namespace
}  // namespace rung::model
