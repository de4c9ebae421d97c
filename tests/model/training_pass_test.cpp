// Whatever is traded for memory, the gradients stay.
#include "model/training_pass.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory/counting_allocator.h"
#include "model/transformer.h"
#include "tests/support/counting.h"
#include "tests/support/late_transfers.h"
#include "tests/support/tensors.h"
#include "tests/support/tiny_transformer.h"

namespace rung::model {
namespace {

using rung::testing::LateTransfers;
using rung::testing::Measured;
using rung::testing::relative_error;
using rung::testing::TinyFolder;

constexpr int64_t kLayers = 7;

data::MicroBatch micro_batch() {
  static const std::vector<int64_t> lengths = {37, 5, 22, 63};
  const auto examples = rung::testing::random_examples(lengths, 3);
  return data::make_micro_batch(examples, std::vector<int64_t>{0, 1, 2, 3});
}

struct Result {
  double loss = 0.0;
  at::Tensor gradients;
  rung::testing::Taken taken;  // by the second of two passes
  rung::testing::Taken model;
};

class TrainingPassTest : public ::testing::Test {
 protected:
  Transformer make_model(const ModelOptions& options) const {
    Transformer model(folder_.config(), &folder_.folder(), options);
    model.add_adapter(
        {.r = 4, .scaling = 2.0, .dropout = dropout_, .modules = model.linear_modules()});
    model.adapter().initialize(InitLora::kKaiming, 5);
    at::Tensor flat = model.adapter().parameters();
    flat.add_(rung::testing::random_tensor(flat.sizes(), 6, c10::kFloat, 0.05));
    return model;
  }

  Result run(ModelOptions options, const MemorySettings& settings) const {
    options.max_positions = 128;
    Result result;
    const Measured loading(memory::cpu_counter());
    Transformer model = make_model(options);
    result.model = loading.taken();
    for (int pass = 0; pass < 2; ++pass) {
      model.adapter().gradients().zero_();
      const Measured running(memory::cpu_counter());
      result.loss = model
                        .train(micro_batch(),
                               {.grad_scale = 0.01F, .memory = settings, .dropout = {.seed = 3}})
                        .item<double>();
      result.taken = running.taken();
    }
    result.gradients = model.adapter().gradients().clone();
    return result;
  }

  // With copies done at once and as late as can be.
  void expect_same_bits(const ModelOptions& options, const MemorySettings& settings,
                        const Result& plain) const {
    for (const bool late : {false, true}) {
      std::unique_ptr<LateTransfers> transfers;
      if (late) transfers = std::make_unique<LateTransfers>();
      const Result result = run(options, settings);
      EXPECT_EQ(result.loss, plain.loss) << (late ? "late" : "at once");
      EXPECT_TRUE(result.gradients.equal(plain.gradients)) << (late ? "late" : "at once");
    }
  }

  double dropout_ = 0.1;
  TinyFolder folder_{rung::testing::deep_llama(kLayers)};
};

TEST_F(TrainingPassTest, InputsOnTheHostGiveTheSameBits) {
  const Result plain = run({}, {});
  for (const int64_t num_recomputed : {int64_t{1}, int64_t{3}, kLayers}) {
    expect_same_bits({}, {.num_recomputed = num_recomputed, .checkpoints = Checkpoints::kOnHost},
                     plain);
  }
}

TEST_F(TrainingPassTest, InputsOnTheHostTakeTwoOnTheDevice) {
  const auto inputs = [&](Checkpoints checkpoints) {
    const Result result = run({}, {.num_recomputed = kLayers, .checkpoints = checkpoints});
    return result.taken.at_peak[static_cast<size_t>(memory::Component::kBlockInputs)];
  };
  const int64_t one = 127 * 32 * static_cast<int64_t>(sizeof(float));
  EXPECT_GE(inputs(Checkpoints::kOnDevice), (kLayers - 1) * one);
  EXPECT_LE(inputs(Checkpoints::kOnHost), 4 * one);
}

TEST_F(TrainingPassTest, StreamedBlocksGiveTheSameBits) {
  for (const BaseFormat base : {BaseFormat::kNf4, BaseFormat::kNf4DoubleQuant}) {
    const Result plain = run({.base = base}, {});
    for (int64_t num_streamed = 1; num_streamed <= kLayers; ++num_streamed) {
      for (const int64_t num_recomputed : {int64_t{0}, int64_t{4}, kLayers}) {
        SCOPED_TRACE(num_streamed);
        expect_same_bits({.base = base, .num_streamed = num_streamed},
                         {.num_recomputed = num_recomputed}, plain);
      }
    }
  }
}

TEST_F(TrainingPassTest, StreamedBlocksTakeTwoSlots) {
  const int64_t resident = run({}, {}).model.live;
  const int64_t streamed = run({.num_streamed = kLayers}, {}).model.live;
  const Transformer model = make_model({.max_positions = 128});
  int64_t block = 0;
  for (const ops::LinearGroup* group : model.blocks().front().groups()) {
    for (const ops::Linear& member : group->members) {
      block += static_cast<int64_t>(member.weight.nf4().codes.nbytes() +
                                    member.weight.nf4().absmax.nbytes());
    }
  }
  EXPECT_LE(streamed, resident - (kLayers - 3) * block);
  EXPECT_GE(streamed, resident - (kLayers - 2) * block);
}

TEST_F(TrainingPassTest, AStreamedBlockIsCopiedOnceAPass) {
  LateTransfers transfers;
  Transformer model = make_model({.max_positions = 128, .num_streamed = kLayers});
  model.train(micro_batch(), {.memory = {.num_recomputed = kLayers}});
  EXPECT_EQ(transfers.num_queued(), kLayers + (kLayers - 2)) << "the last two are there still";
}

TEST_F(TrainingPassTest, EvaluationStreamsToo) {
  const double plain = make_model({.max_positions = 128}).loss(micro_batch()).item<double>();
  for (const bool late : {false, true}) {
    std::unique_ptr<LateTransfers> transfers;
    if (late) transfers = std::make_unique<LateTransfers>();
    const Transformer model = make_model({.max_positions = 128, .num_streamed = 4});
    for (int pass = 0; pass < 2; ++pass) EXPECT_EQ(model.loss(micro_batch()).item<double>(), plain);
  }
}

TEST_F(TrainingPassTest, AnEmbeddingOnTheHostGivesTheSameBits) {
  const Result plain = run({}, {});
  expect_same_bits({.embedding_on_host = true}, {}, plain);
  const Result host = run({.embedding_on_host = true}, {});
  EXPECT_EQ(plain.model.live - host.model.live,
            rung::testing::kTinyVocab * 32 * static_cast<int64_t>(sizeof(float)));
}

TEST_F(TrainingPassTest, ATiedEmbeddingIsNotPutOnTheHost) {
  const TinyFolder tied(rung::testing::tiny_qwen3());
  EXPECT_THROW(
      Transformer(tied.config(), &tied.folder(), {.max_positions = 128, .embedding_on_host = true}),
      c10::Error);
}

TEST_F(TrainingPassTest, TilesOfTheMlpOnlyReorderSums) {
  const Result plain = run({}, {});
  for (const int64_t tile : {1, 50, 64, 126, 127, 1000}) {
    for (const int64_t num_recomputed : {int64_t{0}, int64_t{4}, kLayers}) {
      for (const auto dequantisation :
           {Dequantisation::kEachProduct, Dequantisation::kOnceABlock}) {
        const Result tiled = run(
            {},
            {.num_recomputed = num_recomputed, .dequantisation = dequantisation, .mlp_tile = tile});
        EXPECT_NEAR(tiled.loss, plain.loss, 1e-6 * plain.loss) << tile;
        EXPECT_LE(relative_error(tiled.gradients, plain.gradients), 1e-6) << tile;
      }
    }
  }
}

TEST_F(TrainingPassTest, TilesTakeLessMemory) {
  const Result whole = run({}, {.num_recomputed = kLayers});
  const Result tiled = run({}, {.num_recomputed = kLayers, .mlp_tile = 32});
  EXPECT_LT(tiled.taken.peak, whole.taken.peak);
}

TEST_F(TrainingPassTest, EverythingTogetherGivesTheSameGradients) {
  const Result plain = run({}, {});
  for (const bool late : {false, true}) {
    std::unique_ptr<LateTransfers> transfers;
    if (late) transfers = std::make_unique<LateTransfers>();
    const Result all = run({.embedding_on_host = true, .num_streamed = 5},
                           {.num_recomputed = 6,
                            .dequantisation = Dequantisation::kOnceABlock,
                            .checkpoints = Checkpoints::kOnHost,
                            .mlp_tile = 48});
    EXPECT_LE(relative_error(all.gradients, plain.gradients), 1e-6);
  }
}

// A pass that runs out of memory leaves nothing on the device, and the next one is right.
TEST_F(TrainingPassTest, AFailedPassLeavesNothingBehind) {
  const MemorySettings settings{
      .num_recomputed = kLayers, .checkpoints = Checkpoints::kOnHost, .mlp_tile = 48};
  memory::Counter& counter = memory::cpu_counter();
  Transformer model = make_model({.max_positions = 128, .num_streamed = 5});
  at::Tensor gradients = model.adapter().gradients();
  model.train(micro_batch(), {.grad_scale = 0.01F, .memory = settings});
  const at::Tensor expected = gradients.clone();
  const int64_t live = counter.usage().live;
  counter.reset_peak();
  gradients.zero_();
  model.train(micro_batch(), {.grad_scale = 0.01F, .memory = settings});
  const int64_t peak = counter.usage().peak;
  for (int64_t part = 0; part < 40; ++part) {
    gradients.zero_();
    counter.set_limit(live + (peak - live) * part / 40);
    EXPECT_THROW(model.train(micro_batch(), {.grad_scale = 0.01F, .memory = settings}),
                 c10::OutOfMemoryError);
    counter.set_limit(0);
    EXPECT_EQ(counter.usage().live, live) << part;
  }
  gradients.zero_();
  model.train(micro_batch(), {.grad_scale = 0.01F, .memory = settings});
  EXPECT_TRUE(gradients.equal(expected));
}

TEST(SpreadBlocks, AreAscendingAndEvenlySpread) {
  EXPECT_EQ(spread_blocks(0, 5), std::vector<int64_t>{});
  EXPECT_EQ(spread_blocks(1, 5), (std::vector<int64_t>{2}));
  EXPECT_EQ(spread_blocks(2, 8), (std::vector<int64_t>{2, 6}));
  EXPECT_EQ(spread_blocks(5, 5), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  for (int64_t blocks = 1; blocks < 90; ++blocks) {
    for (int64_t count = 1; count <= blocks; ++count) {
      const std::vector<int64_t> indices = spread_blocks(count, blocks);
      EXPECT_GE(indices.front(), 0);
      EXPECT_LT(indices.back(), blocks);
      for (size_t i = 1; i < indices.size(); ++i) EXPECT_LT(indices[i - 1], indices[i]);
    }
  }
}

}  // namespace
}  // namespace rung::model
