#include "fit/ladder.h"

#include <gtest/gtest.h>

#include <vector>

namespace rung::fit {
namespace {

using model::Checkpoints;
using model::Dequantisation;

constexpr LadderBounds kBounds = {.num_blocks = 8,
                                  .most_recomputed = 8,
                                  .is_quantized = true,
                                  .has_own_memory = true,
                                  .num_documents = 8,
                                  .num_tokens = 8192,
                                  .mlp_tile = 512};

std::vector<StepSettings> climb(StepSettings settings, const LadderBounds& bounds) {
  std::vector<StepSettings> rungs = {settings};
  while (const auto next = next_rung(rungs.back(), bounds)) rungs.push_back(*next);
  return rungs;
}

StepSettings start() { return {.memory = {.dequantisation = Dequantisation::kOnceABlock}}; }

TEST(Ladder, EachRungDiffersAndTheLastHasEverything) {
  const auto rungs = climb(start(), kBounds);
  for (size_t i = 1; i < rungs.size(); ++i) EXPECT_NE(rungs[i], rungs[i - 1]);
  const StepSettings& last = rungs.back();
  EXPECT_EQ(last.split, 8);
  EXPECT_EQ(last.memory.num_recomputed, 8);
  EXPECT_EQ(last.memory.dequantisation, Dequantisation::kEachProduct);
  EXPECT_EQ(last.memory.checkpoints, Checkpoints::kOnHost);
  EXPECT_EQ(last.memory.mlp_tile, 512);
  EXPECT_LT(last.memory.head_chunk_bytes, start().memory.head_chunk_bytes);
}

TEST(Ladder, EndsAtItsTop) {
  EXPECT_EQ(top_rung(start(), kBounds), climb(start(), kBounds).back());
  EXPECT_EQ(top_rung(top_rung(start(), kBounds), kBounds), top_rung(start(), kBounds));
}

TEST(Ladder, SplitsFirstAsLongAsPartsAreLarge) {
  const auto rungs = climb(start(), kBounds);
  EXPECT_EQ(rungs[1].split, 2);
  EXPECT_EQ(rungs[3].split, 8);
  EXPECT_EQ(rungs[3].memory.num_recomputed, 0);
  EXPECT_EQ(rungs[4].memory.num_recomputed, 2);
  LadderBounds small = kBounds;
  small.num_tokens = 1500;
  EXPECT_EQ(climb(start(), small)[1].split, 1) << "parts would be too small";
  EXPECT_EQ(climb(start(), small).back().split, 8) << "as the last resort";
}

TEST(Ladder, DoesNotCutDocuments) {
  LadderBounds one = kBounds;
  one.num_documents = 1;
  for (const StepSettings& rung : climb(start(), one)) EXPECT_EQ(rung.split, 1);
}

TEST(Ladder, LeavesTheUsersChoiceOfRecomputedBlocks) {
  LadderBounds none = kBounds;
  none.most_recomputed = 0;
  const auto rungs = climb(start(), none);
  for (size_t i = 0; i < rungs.size(); ++i) {
    EXPECT_EQ(rungs[i].memory.num_recomputed, 0);
    if (i > 0) EXPECT_NE(describe(rungs[i], none), describe(rungs[i - 1], none));
  }
}

TEST(Ladder, OffersNoHostMemoryWhereItIsTheSame) {
  LadderBounds cpu = kBounds;
  cpu.has_own_memory = false;
  for (const StepSettings& rung : climb(start(), cpu)) {
    EXPECT_EQ(rung.memory.checkpoints, Checkpoints::kOnDevice);
  }
}

TEST(Ladder, OfAnEvaluationHasChunksAndParts) {
  const LadderBounds bounds{.num_documents = 4, .num_tokens = 100};
  const auto rungs = climb({}, bounds);
  ASSERT_EQ(rungs.size(), 5u);
  EXPECT_EQ(describe(rungs[0], bounds), "as it is");
  EXPECT_EQ(describe(rungs[2], bounds), "logits in chunks of 4 MiB");
  EXPECT_EQ(rungs[4].split, 4);
}

TEST(Ladder, HasNothingForWhatHasNoTokens) { EXPECT_EQ(climb({}, {}).size(), 1u); }

TEST(Ladder, MayBeRecomputationAlone) {
  LadderBounds only = kBounds;
  only.only_recompute = true;
  const auto rungs = climb(start(), only);
  ASSERT_EQ(rungs.size(), 5u);
  StepSettings last = start();
  last.memory.num_recomputed = 8;
  EXPECT_EQ(rungs.back(), last);
}

TEST(Ladder, IsToldInWords) {
  EXPECT_EQ(describe(start(), kBounds), "0 of 8 blocks recomputed");
  EXPECT_EQ(describe(climb(start(), kBounds).back(), kBounds),
            "micro-batches in 8 parts, 8 of 8 blocks recomputed, weights dequantised one at a "
            "time, logits in chunks of 4 MiB, block inputs on the host, MLPs in tiles of 512 "
            "tokens");
}

TEST(Ladder, TellsWhatASettingChanges) {
  StepSettings to = start();
  EXPECT_EQ(describe_changes(start(), to, kBounds), "");
  to.split = 2;
  EXPECT_EQ(describe_changes(start(), to, kBounds), "micro-batches in 2 parts");
  to.memory.num_recomputed = 3;
  to.memory.head_chunk_bytes = kLeastHeadChunk;
  EXPECT_EQ(describe_changes(start(), to, kBounds),
            "3 of 8 blocks recomputed instead of 0, micro-batches in 2 parts, logits in chunks of "
            "4 MiB");
}

TEST(Ladder, CallsNothingAChangeThatWasAskedFor) {
  StepSettings from = start();
  from.memory.checkpoints = Checkpoints::kOnHost;
  from.memory.mlp_tile = 512;
  StepSettings to = from;
  to.memory.num_recomputed = 8;
  EXPECT_EQ(describe_changes(from, to, kBounds), "8 of 8 blocks recomputed instead of 0");
}

}  // namespace
}  // namespace rung::fit
