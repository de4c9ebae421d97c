#include "fit/choose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "data/split.h"
#include "fit/step_time.h"
#include "tests/support/counting.h"
#include "tests/support/tiny_transformer.h"

namespace rung::fit {
namespace {

using model::Dequantisation;
using rung::testing::all_linears;
using rung::testing::TinyFolder;

constexpr int64_t kLayers = 6;

class Choose : public ::testing::Test {
 protected:
  Choose() {
    const auto examples = rung::testing::random_examples(std::vector<int64_t>{100, 60, 90, 5}, 3);
    shape_ = {.config = folder_.config(),
              .model = {.base = model::BaseFormat::kNf4, .max_positions = 128},
              .adapter = {.r = 4, .modules = all_linears(kLayers)},
              .batch = rung::testing::step_batch(examples, {{0, 1, 2, 3}})};
    bounds_ = {.num_blocks = kLayers,
               .most_recomputed = kLayers,
               .is_quantized = true,
               .num_documents = 4,
               .num_tokens = 255,
               .mlp_tile = 32};
    start_.memory.dequantisation = Dequantisation::kOnceABlock;
  }

  Choice rung_with(const StepSettings& settings) const {
    return {.settings = settings, .peak = peak_with(shape_, settings), .fits = true};
  }
  // The rungs from the start on, with their peaks.
  std::vector<Choice> all() const {
    std::vector<Choice> rungs = {rung_with(start_)};
    while (const auto next = next_rung(rungs.back().settings, bounds_)) {
      rungs.push_back(rung_with(*next));
    }
    return rungs;
  }

  Choice choose(StepPeaks& peaks, int64_t limit) const {
    return choose_settings(
        peaks, start_, bounds_,
        {.limit = limit, .work = work_of(shape_), .rates = assumed_rates(c10::kCPU)});
  }

  TinyFolder folder_{rung::testing::deep_llama(kLayers)};
  StepShape shape_;
  LadderBounds bounds_;
  StepSettings start_;
};

// Whatever the limit: no combination of what the bounds allow fits and is predicted to be quicker.
TEST_F(Choose, TakesTheQuickestThatFits) {
  const DeviceRates rates = assumed_rates(c10::kCPU);
  struct Tried {
    int64_t peak;
    double seconds;
  };
  std::vector<Tried> tried;
  StepPeaks peaks(shape_);
  for (const int64_t split : {1, 2, 4}) {
    for (const auto dequantisation : {Dequantisation::kOnceABlock, Dequantisation::kEachProduct}) {
      for (const int64_t mlp_tile : {0, 32}) {
        for (const int64_t head_chunk : {48, 12, 4}) {
          for (int64_t n = 0; n <= kLayers; ++n) {
            const StepSettings settings{.split = split,
                                        .memory = {.num_recomputed = n,
                                                   .dequantisation = dequantisation,
                                                   .mlp_tile = mlp_tile,
                                                   .head_chunk_bytes = head_chunk << 20}};
            tried.push_back({peaks.peak(settings), seconds_of(work_of(shape_), settings, rates)});
          }
        }
      }
    }
  }
  const std::vector<Choice> rungs = all();
  ASSERT_GT(rungs.size(), 6u);
  for (const Choice& rung : rungs) {
    for (const int64_t limit : {rung.peak - 1, rung.peak, rung.peak + 1}) {
      if (limit < rungs.back().peak) continue;
      const Choice chosen = choose(peaks, limit);
      ASSERT_TRUE(chosen.fits);
      EXPECT_EQ(chosen.peak, peak_with(shape_, chosen.settings));
      EXPECT_LE(chosen.peak, limit);
      const double seconds = seconds_of(work_of(shape_), chosen.settings, rates);
      for (const Tried& other : tried) {
        if (other.peak <= limit) EXPECT_GE(other.seconds, seconds) << limit;
      }
    }
  }
}

TEST_F(Choose, ChangesNothingWhereNothingHasToChange) {
  StepPeaks peaks(shape_);
  const Choice chosen = choose(peaks, peaks.peak(start_));
  EXPECT_TRUE(chosen.fits);
  EXPECT_EQ(chosen.settings, start_);
}

TEST_F(Choose, SaysThatNothingFits) {
  const Choice last = all().back();
  StepPeaks peaks(shape_);
  const Choice chosen = choose(peaks, 1000);
  EXPECT_FALSE(chosen.fits);
  EXPECT_EQ(chosen.settings, last.settings);
  EXPECT_EQ(chosen.peak, last.peak);
}

TEST_F(Choose, ThePeakIsThatOfTheLargestPart) {
  StepSettings split = start_;
  split.split = 4;
  StepShape alone = shape_;
  const auto examples = rung::testing::random_examples(std::vector<int64_t>{100}, 3);
  alone.batch = rung::testing::step_batch(examples, {{0}});
  alone.memory = start_.memory;
  // The examples differ in what is learnt of them, which sizes the head's tensors.
  EXPECT_NEAR(static_cast<double>(peak_with(shape_, split)), static_cast<double>(step_peak(alone)),
              0.02 * static_cast<double>(step_peak(alone)));
}

// Packed rows: whatever the documents in them, no part of a best cut is larger than planned.
TEST_F(Choose, APartOfPackedRowsIsBoundedByTheLongestDocument) {
  constexpr int64_t kRow = 96;
  constexpr int64_t kLongest = 20;
  const std::vector<int64_t> rows(4, kRow);
  shape_.batch = rung::testing::step_batch(rung::testing::random_examples(rows, 3), {{0, 1, 2, 3}});
  shape_.packed_lengths.assign(4 * kRow, kLongest);  // so many of them, for all that is known
  std::vector<int64_t> lengths;                      // of as many tokens
  for (int64_t left = 4 * kRow, i = 0; left > 0; ++i) {
    lengths.push_back(std::min(left, kLongest - i % 7));
    left -= lengths.back();
  }
  std::vector<int64_t> all(lengths.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  const auto packed = rung::testing::step_batch(rung::testing::random_examples(lengths, 4), {all});
  for (const int64_t split : {1, 2, 3, 5, 8, 16}) {
    StepSettings settings = start_;
    settings.split = split;
    const int64_t planned = with_settings(shape_, settings).batch.num_tokens();
    EXPECT_LE(planned, split == 1 ? 4 * kRow : 4 * kRow / split + kLongest);
    for (const data::MicroBatch& part : data::split_step(packed, split).micro_batches) {
      EXPECT_LE(part.num_tokens(), planned) << split;
    }
  }
}

TEST_F(Choose, StreamsAsFewBlocksAsItTakes) {
  StepSettings settings = start_;
  settings.memory.num_recomputed = kLayers;
  std::vector<int64_t> peaks;
  for (int64_t n = 0; n <= kLayers; ++n) {
    shape_.model.num_streamed = n;
    peaks.push_back(peak_with(shape_, settings));
    if (n > 2) EXPECT_LT(peaks.back(), peaks[static_cast<size_t>(n - 1)]) << n;
  }
  EXPECT_LT(peaks.back(), peaks.front());
  StepPeaks steps(shape_);
  for (const int64_t limit : peaks) {
    int64_t fewest = 0;
    while (peaks[static_cast<size_t>(fewest)] > limit) ++fewest;
    EXPECT_EQ(choose_num_streamed(steps, kLayers, settings, limit), fewest) << limit;
  }
}

}  // namespace
}  // namespace rung::fit
