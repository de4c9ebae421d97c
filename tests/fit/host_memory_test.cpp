// What a step keeps in host memory: planned on shapes, taken by the CPU's transfers.
#include <gtest/gtest.h>

#include <vector>

#include "fit/step_memory.h"
#include "memory/transfers.h"
#include "step/step.h"
#include "tests/support/counting.h"
#include "tests/support/tiny_transformer.h"

namespace rung::fit {
namespace {

using rung::testing::all_linears;
using rung::testing::TinyFolder;

constexpr int64_t kLayers = 4;

class HostMemory : public ::testing::Test {
 protected:
  HostMemory() {
    const auto examples = rung::testing::random_examples(std::vector<int64_t>{100, 60}, 3);
    shape_ = {
        .config = folder_.config(),
        .model = {.compute = c10::kBFloat16, .base = model::BaseFormat::kNf4, .max_positions = 128},
        .adapter = {.r = 4, .modules = all_linears(kLayers)},
        .batch = rung::testing::step_batch(examples, {{0, 1}}),
        .memory = {.num_recomputed = kLayers}};
  }

  // Bytes that a step takes from the CPU's transfers.
  int64_t taken_on_cpu() const {
    memory::Counter& counter = memory::transfers_of(c10::kCPU).host_counter();
    counter.reset_peak();
    const int64_t before = counter.usage().live;
    model::Transformer model(shape_.config, &folder_.folder(), shape_.model);
    model.add_adapter(shape_.adapter);
    model.adapter().initialize(InitLora::kKaiming, 1);
    step::Optimizer optimizer(model.adapter().parameters(), {});
    step::run_step(model, optimizer, shape_.batch, {}, {.memory = shape_.memory});
    return counter.usage().peak - before;
  }

  TinyFolder folder_{rung::testing::deep_llama(kLayers)};
  StepShape shape_;
};

TEST_F(HostMemory, IsNotTakenWhereNothingIsOffloaded) {
  EXPECT_EQ(host_peak(shape_), 0);
  EXPECT_EQ(taken_on_cpu(), 0);
}

TEST_F(HostMemory, OfOffloadedBlockInputsIsPlannedToTheByte) {
  shape_.memory.checkpoints = model::Checkpoints::kOnHost;
  EXPECT_GT(host_peak(shape_), 0);
  EXPECT_EQ(host_peak(shape_), taken_on_cpu());
}

TEST_F(HostMemory, OfAnEmbeddingIsPlannedToTheByte) {
  shape_.model.embedding_on_host = true;
  EXPECT_GT(host_peak(shape_), shape_.config.vocab_size * shape_.config.hidden_size * 2);
  EXPECT_EQ(host_peak(shape_), taken_on_cpu());
}

TEST_F(HostMemory, OfStreamedBlocksIsPlannedToTheByte) {
  shape_.model.num_streamed = kLayers;
  EXPECT_GT(host_peak(shape_), 0);
  EXPECT_EQ(host_peak(shape_), taken_on_cpu());
}

TEST_F(HostMemory, ThatIsPinnedIsRoundedUpToAPowerOfTwo) {
  EXPECT_EQ(memory::pinned_size(4096), 4096);
  EXPECT_EQ(memory::pinned_size(4097), 8192);
}

}  // namespace
}  // namespace rung::fit
