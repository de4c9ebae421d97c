#include "fit/step_peaks.h"

#include <gtest/gtest.h>

#include <vector>

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

}  // namespace
}  // namespace rung::fit
