#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "base/random.h"

namespace rung::data {
namespace {

// Documents of these lengths; the last token of each has nothing to predict.
MicroBatch micro_batch(const std::vector<int64_t>& lengths) {
  MicroBatch batch{.cu_seqlens = {0}};
  for (size_t d = 0; d < lengths.size(); ++d) {
    for (int64_t i = 0; i < lengths[d]; ++i) {
      batch.input_ids.push_back(static_cast<int32_t>(100 * d + static_cast<size_t>(i)));
      batch.targets.push_back(i + 1 < lengths[d] ? batch.input_ids.back() + 1 : kIgnore);
      batch.positions.push_back(static_cast<int32_t>(i));
    }
    batch.cu_seqlens.push_back(static_cast<int32_t>(batch.input_ids.size()));
    batch.documents.push_back(static_cast<int64_t>(7 + d));
  }
  return batch;
}

std::vector<int64_t> sizes(const std::vector<MicroBatch>& parts) {
  std::vector<int64_t> result;
  for (const MicroBatch& part : parts) result.push_back(part.num_tokens());
  return result;
}

TEST(SplitMicroBatch, OnePartIsTheWhole) {
  const MicroBatch batch = micro_batch({5, 3});
  const auto parts = split_micro_batch(batch, 1);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].input_ids, batch.input_ids);
  EXPECT_EQ(parts[0].cu_seqlens, batch.cu_seqlens);
}

TEST(SplitMicroBatch, MakesTheLargestPartAsSmallAsCanBe) {
  EXPECT_EQ(sizes(split_micro_batch(micro_batch({3, 5, 4, 4}), 2)), (std::vector<int64_t>{9, 7}));
  EXPECT_EQ(sizes(split_micro_batch(micro_batch({1, 1, 10, 1, 1}), 2)),
            (std::vector<int64_t>{10, 4}));
}

TEST(SplitMicroBatch, NeverCutsADocument) {
  EXPECT_EQ(sizes(split_micro_batch(micro_batch({12}), 4)), (std::vector<int64_t>{12}));
  EXPECT_EQ(sizes(split_micro_batch(micro_batch({2, 3}), 4)), (std::vector<int64_t>{3, 2}));
}

int64_t largest_of(std::vector<int64_t> lengths, int64_t parts) {
  const int64_t largest = std::ranges::max(sizes(split_micro_batch(micro_batch(lengths), parts)));
  std::ranges::sort(lengths, std::ranges::greater{});
  EXPECT_EQ(largest_part(lengths, parts), largest);
  return largest;
}

// What a plan for the longest documents rests on.
TEST(SplitMicroBatch, NeitherOrderNorShorterDocumentsMakeALargerPart) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const CounterRandom random(seed, 2);
    std::vector<int64_t> lengths;
    for (uint64_t i = 0; i < 6; ++i)
      lengths.push_back(1 + static_cast<int64_t>(random.below(i, 9)));
    std::ranges::sort(lengths);
    for (int64_t parts = 2; parts <= 5; ++parts) {
      const int64_t largest = largest_of(lengths, parts);
      std::vector<int64_t> other = lengths;
      while (std::ranges::next_permutation(other).found) {
        if (random.below(static_cast<uint64_t>(other[0] + 7 * other[3]), 9) != 0) continue;
        EXPECT_EQ(largest_of(other, parts), largest);
      }
      for (int64_t& length : other) length = std::max<int64_t>(1, length - 1);
      EXPECT_LE(largest_of(other, parts), largest);
    }
  }
}

TEST(SplitMicroBatch, LosesNothing) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const CounterRandom random(seed, 1);
    std::vector<int64_t> lengths;
    const auto count = 1 + random.below(0, 9);
    for (uint64_t i = 0; i < count; ++i) {
      lengths.push_back(1 + static_cast<int64_t>(random.below(i + 1, 40)));
    }
    const MicroBatch batch = micro_batch(lengths);
    for (int64_t parts = 1; parts <= 10; ++parts) {
      const auto split = split_micro_batch(batch, parts);
      ASSERT_LE(std::ssize(split), parts);
      std::vector<int64_t> seen;
      for (const MicroBatch& part : split) {
        ASSERT_EQ(part.cu_seqlens.size(), part.documents.size() + 1);
        EXPECT_EQ(part.cu_seqlens.front(), 0);
        EXPECT_EQ(part.cu_seqlens.back(), part.num_tokens());
        for (size_t d = 0; d < part.documents.size(); ++d) {
          const int64_t number = part.documents[d] - 7;
          seen.push_back(number);
          ASSERT_EQ(part.cu_seqlens[d + 1] - part.cu_seqlens[d],
                    lengths[static_cast<size_t>(number)]);
          for (int32_t i = part.cu_seqlens[d]; i < part.cu_seqlens[d + 1]; ++i) {
            const auto at = static_cast<size_t>(i);
            const auto from = static_cast<size_t>(batch.cu_seqlens[static_cast<size_t>(number)] +
                                                  i - part.cu_seqlens[d]);
            EXPECT_EQ(part.input_ids[at], batch.input_ids[from]);
            EXPECT_EQ(part.targets[at], batch.targets[from]);
            EXPECT_EQ(part.positions[at], batch.positions[from]);
          }
        }
      }
      std::ranges::sort(seen);
      ASSERT_EQ(seen.size(), lengths.size());
      for (size_t d = 0; d < seen.size(); ++d) EXPECT_EQ(seen[d], static_cast<int64_t>(d));
    }
  }
}

TEST(SplitStep, KeepsTheNumberOfSupervisedTokens) {
  const StepBatch step{.micro_batches = {micro_batch({5, 3, 4}), micro_batch({2, 2})}, .epoch = 3};
  const StepBatch split = split_step(step, 2);
  EXPECT_EQ(split.micro_batches.size(), 4u);
  EXPECT_EQ(split.num_supervised(), step.num_supervised());
  EXPECT_EQ(split.num_tokens(), step.num_tokens());
  EXPECT_EQ(split.epoch, 3);
}

}  // namespace
}  // namespace rung::data
