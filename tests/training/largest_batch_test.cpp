// What a plan takes packed batches to be at most, against those that the loader makes.
#include "training/largest_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "data/split.h"
#include "fit/step_peaks.h"

namespace rung::training {
namespace {

constexpr int64_t kRow = 64;  // tokens
constexpr int64_t kEpochs = 4;

std::vector<data::Example> examples_of(const std::vector<int64_t>& lengths) {
  std::vector<data::Example> examples;
  for (const int64_t length : lengths) {
    data::Example& example = examples.emplace_back();
    example.input_ids.assign(static_cast<size_t>(length), 0);
    example.labels = example.input_ids;
  }
  return examples;
}

RunConfig config_of(int64_t micro_batch_size, uint64_t seed) {
  RunConfig config;
  config.sequence_len = kRow;
  config.micro_batch_size = micro_batch_size;
  config.sample_packing = true;
  config.seed = seed;
  return config;
}

// Of a data set: some documents of any length, and others that are all near one length.
std::vector<int64_t> random_lengths(uint64_t seed) {
  const CounterRandom random(seed, 0);
  uint64_t counter = 0;
  const auto up_to = [&](int64_t most) {
    return 1 + static_cast<int64_t>(random.below(counter++, static_cast<uint64_t>(most)));
  };
  std::vector<int64_t> lengths(static_cast<size_t>(up_to(40)));
  const int64_t usual = up_to(kRow);
  const int64_t longest = up_to(kRow);
  for (int64_t& length : lengths) {
    length = up_to(3) == 1 ? up_to(longest) : std::max<int64_t>(1, usual - up_to(3) + 1);
  }
  return lengths;
}

// Every micro-batch of some epochs.
std::vector<data::MicroBatch> micro_batches(const std::vector<data::Example>& examples,
                                            const RunConfig& config) {
  data::Loader loader(examples, {.sequence_len = config.sequence_len,
                                 .micro_batch_size = config.micro_batch_size,
                                 .sample_packing = true,
                                 .seed = config.seed});
  std::vector<data::MicroBatch> batches;
  while (loader.state().epoch < kEpochs) {
    for (data::MicroBatch& batch : loader.next().micro_batches) batches.push_back(std::move(batch));
  }
  return batches;
}

// Tokens of the largest part of a micro-batch.
int64_t largest_of(const std::vector<data::MicroBatch>& batches, int64_t split) {
  int64_t largest = 0;
  for (const data::MicroBatch& batch : batches) {
    for (const data::MicroBatch& part : data::split_micro_batch(batch, split)) {
      largest = std::max(largest, part.num_tokens());
    }
  }
  return largest;
}

int64_t planned_part(const RunConfig& config, const std::vector<data::Example>& examples,
                     int64_t split) {
  const fit::StepShape shape{.batch = largest_step(config, examples),
                             .packed_lengths = longest_packed(config, examples)};
  return fit::with_settings(shape, {.split = split}).batch.num_tokens();
}

TEST(LongestPacked, BoundsEveryDocumentOfAMicroBatch) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const RunConfig config = config_of(1 + static_cast<int64_t>(seed % 5), seed);
    const auto examples = examples_of(random_lengths(seed));
    const std::vector<int64_t> bounds = longest_packed(config, examples);
    for (const data::MicroBatch& batch : micro_batches(examples, config)) {
      std::vector<int64_t> lengths;
      for (const int64_t i : batch.documents) {
        lengths.push_back(examples[static_cast<size_t>(i)].num_tokens());
      }
      std::ranges::sort(lengths, std::ranges::greater{});
      ASSERT_LE(lengths.size(), bounds.size()) << seed;
      for (size_t i = 0; i < lengths.size(); ++i) ASSERT_LE(lengths[i], bounds[i]) << seed;
    }
  }
}

TEST(LongestPacked, IsNothingWithoutPacking) {
  RunConfig config = config_of(2, 1);
  config.sample_packing = false;
  EXPECT_TRUE(longest_packed(config, examples_of({5, 3})).empty());
}

TEST(LargestPart, OfAPackedBatchIsPlanned) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const RunConfig config = config_of(1 + static_cast<int64_t>(seed % 7), seed);
    const auto examples = examples_of(random_lengths(seed));
    const std::vector<data::MicroBatch> batches = micro_batches(examples, config);
    for (const int64_t split : {1, 2, 3, 4, 6, 8, 16}) {
      ASSERT_LE(largest_of(batches, split), planned_part(config, examples, split))
          << "seed " << seed << ", split " << split;
    }
  }
}

// Such rows are those of long documents.
TEST(LargestPart, OfRowsOfOneDocumentEachIsPlannedToTheToken) {
  for (const int64_t micro_batch_size : {1, 2, 3, 4, 7}) {
    const RunConfig config = config_of(micro_batch_size, 1);
    std::vector<int64_t> lengths(static_cast<size_t>(micro_batch_size), kRow);
    EXPECT_EQ(planned_part(config, examples_of(lengths), micro_batch_size), kRow);
    for (int64_t i = 0; i < micro_batch_size; ++i) lengths[static_cast<size_t>(i)] -= 3 * i;
    const auto examples = examples_of(lengths);
    const std::vector<data::MicroBatch> batches = micro_batches(examples, config);
    for (int64_t split = 2; split <= micro_batch_size; ++split) {
      EXPECT_EQ(planned_part(config, examples, split), largest_of(batches, split)) << split;
    }
  }
}

}  // namespace
}  // namespace rung::training
