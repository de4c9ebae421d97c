#include "fit/step_flops.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rung::fit {
namespace {

// 120 weights in the linears of a block: q 4x4, k 4x2, v 4x2, o 4x4, gate 4x6, up 4x6, down 6x4.
format::ModelConfig small_model() {
  return {.vocab_size = 10,
          .hidden_size = 4,
          .intermediate_size = 6,
          .num_layers = 2,
          .num_heads = 2,
          .num_kv_heads = 1,
          .head_dim = 2};
}

// Documents of 3 and 2 tokens: 5 tokens, 3 of them learnt from, 6 + 3 pairs that attention sees.
data::StepBatch small_batch() {
  std::vector<data::Example> examples;
  for (const int length : {3, 2}) {
    const std::vector<int32_t> ids(static_cast<size_t>(length), 1);
    examples.push_back({.input_ids = ids, .labels = ids});
  }
  const std::vector<int64_t> all = {0, 1};
  return {.micro_batches = {data::make_micro_batch(examples, all)}};
}

StepFlops small_step(const std::vector<std::string>& adapted, int64_t num_recomputed) {
  return step_flops(small_model(), {.r = 3, .modules = adapted}, counts_of(small_batch()),
                    num_recomputed);
}

TEST(StepFlops, OfFrozenLinearsIsTwiceTheForwardPass) {
  EXPECT_EQ(small_step({}, 0).linears, 2.0 * (2 * 5 * 120) * 2);  // blocks, forward and backward
}

TEST(StepFlops, OfAttentionCountsThePairsThatAreSeen) {
  // 9 pairs, 2 heads of 2: 4 * 9 * 2 * 2 forward, 10 * 9 * 2 * 2 backward, two blocks.
  EXPECT_EQ(small_step({}, 0).attention, 2.0 * (144 + 360));
}

TEST(StepFlops, OfTheHeadCountsLearntTokensOnly) {
  EXPECT_EQ(small_step({}, 0).head, 4.0 * 3 * 4 * 10);
}

TEST(StepFlops, OfAnAdapterFollowsItsFiveBackwardProducts) {
  EXPECT_EQ(small_step({}, 0).adapters, 0.0);
  // q_proj, 4 -> 4: a token takes 2 * 3 * 8 forward and 2 * 3 * (12 + 8) backward.
  EXPECT_EQ(small_step({"model.layers.1.self_attn.q_proj"}, 0).adapters, 5.0 * (48 + 120));
  // down_proj, 6 -> 4.
  EXPECT_EQ(small_step({"model.layers.0.mlp.down_proj"}, 0).adapters, 5.0 * (60 + 156));
}

TEST(StepFlops, OfARecomputedBlockLeavesOutItsLastLinear) {
  const double block = 2.0 * 5 * (120 - 24) + 144;
  EXPECT_EQ(small_step({}, 0).recomputed, 0.0);
  EXPECT_EQ(small_step({}, 1).recomputed, block);
  EXPECT_EQ(small_step({}, 2).recomputed, 2 * block);
  const std::vector<std::string> adapted = {"model.layers.0.self_attn.q_proj",
                                            "model.layers.0.mlp.down_proj"};
  EXPECT_EQ(small_step(adapted, 1).recomputed, block + 5 * 48);
}

TEST(StepFlops, OfTheWholeStepIsTheSumOverMicroBatches) {
  data::StepBatch twice = small_batch();
  twice.micro_batches.push_back(twice.micro_batches[0]);
  const model::AdapterOptions adapter{.r = 3, .modules = {"model.layers.0.self_attn.q_proj"}};
  const StepFlops once = step_flops(small_model(), adapter, counts_of(small_batch()), 1);
  EXPECT_EQ(step_flops(small_model(), adapter, counts_of(twice), 1).total(), 2 * once.total());
  EXPECT_EQ(once.total(), 4800.0 + 840 + 1008 + 480 + (1104 + 240));
}

}  // namespace
}  // namespace rung::fit
