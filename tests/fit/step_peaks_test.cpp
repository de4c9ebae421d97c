#include "fit/step_peaks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "base/random.h"
#include "data/split.h"
#include "memory/counting_allocator.h"
#include "tests/support/counting.h"
#include "tests/support/tiny_transformer.h"

namespace rung::fit {
namespace {

constexpr int64_t kLayers = 4;

class CountedAllocations final : public memory::AllocationObserver {
 public:
  void allocated(uint64_t, int64_t) override { ++count; }
  void freed(uint64_t) override {}
  int64_t count = 0;
};

class StepPeaksTest : public ::testing::Test {
 protected:
  StepPeaksTest() {
    const auto examples = rung::testing::random_examples(std::vector<int64_t>{50, 20}, 3);
    shape_ = {.config = folder_.config(),
              .model = {.base = model::BaseFormat::kNf4, .max_positions = 64},
              .adapter = {.r = 4, .modules = rung::testing::all_linears(kLayers)},
              .batch = rung::testing::step_batch(examples, {{0, 1}})};
  }

  rung::testing::TinyFolder folder_{rung::testing::deep_llama(kLayers)};
  StepShape shape_;
};

TEST_F(StepPeaksTest, AreThoseOfTheStep) {
  StepPeaks peaks(shape_);
  for (const int64_t num_recomputed : {0, 2, 4}) {
    for (const int64_t split : {1, 2}) {
      const StepSettings settings{.split = split, .memory = {.num_recomputed = num_recomputed}};
      EXPECT_EQ(peaks.peak(settings), peak_with(shape_, settings));
    }
  }
}

TEST_F(StepPeaksTest, RunEachStepOnce) {
  StepPeaks peaks(shape_);
  const int64_t first = peaks.peak({});
  CountedAllocations allocations;
  const memory::MetaObservation observation(allocations);
  EXPECT_EQ(peaks.peak({}), first);
  EXPECT_EQ(peaks.streaming(0).peak({}), first);
  EXPECT_EQ(allocations.count, 0);
  peaks.peak({.split = 2});
  EXPECT_GT(allocations.count, 0);
}

TEST_F(StepPeaksTest, KnowStreamedBlocks) {
  StepPeaks peaks(shape_);
  StepShape streamed = shape_;
  streamed.model.num_streamed = kLayers;
  const StepSettings settings{.memory = {.num_recomputed = kLayers}};
  EXPECT_EQ(peaks.streaming(kLayers).peak(settings), peak_with(streamed, settings));
  EXPECT_EQ(peaks.streaming(kLayers).shape().model.num_streamed, kLayers);
  EXPECT_NE(peaks.streaming(kLayers).peak(settings), peaks.peak(settings));
}

// Tokens of a part, planned for four rows of `row` tokens with documents up to `longest`, of which
// nothing else is known.
int64_t planned_part(int64_t row, int64_t longest, int64_t split) {
  const auto examples = rung::testing::random_examples(std::vector<int64_t>(4, row), 3);
  const StepShape shape{
      .batch = rung::testing::step_batch(examples, {{0, 1, 2, 3}}),
      .packed_lengths = std::vector<int64_t>(static_cast<size_t>(4 * row), longest)};
  return with_settings(shape, {.split = split}).batch.num_tokens();
}

TEST(PackedParts, AreNoLargerThanPlannedWhateverTheDocuments) {
  constexpr int64_t kRow = 15;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const CounterRandom random(seed, 1);
    const auto longest = 1 + static_cast<int64_t>(random.below(0, kRow));
    std::vector<int64_t> lengths;
    int64_t left = 4 * kRow;
    for (uint64_t i = 1; left > 0; ++i) {
      // Many of them near the longest.
      const auto shorter =
          static_cast<int64_t>(random.below(2 * i, 2) * random.below(2 * i + 1, 9));
      lengths.push_back(std::min(left, std::max<int64_t>(1, longest - shorter)));
      left -= lengths.back();
    }
    std::ranges::sort(lengths, std::ranges::greater{});
    for (int64_t split = 2; split <= 12; ++split) {
      ASSERT_LE(data::largest_part(lengths, split), planned_part(kRow, longest, split))
          << "seed " << seed << ", split " << split;
    }
  }
}

// One document more than parts, all as long as can be: two of them share a part.
TEST(PackedParts, AreAsLargeAsPlannedAtTheWorst) {
  EXPECT_EQ(planned_part(15, 12, 4), 24);
  EXPECT_EQ(data::largest_part(std::vector<int64_t>(5, 12), 4), 24);
  // Longer ones leave less to share a row with: four of 12, and short ones.
  EXPECT_EQ(planned_part(15, 15, 4), 24);
  EXPECT_EQ(data::largest_part(std::vector<int64_t>{12, 12, 12, 12, 3, 3, 3, 3}, 4), 24);
}

}  // namespace
}  // namespace rung::fit
