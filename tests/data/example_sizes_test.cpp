#include "data/example_sizes.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "data/epoch_length.h"

namespace rung::data {
namespace {

// Examples of 1 to 40 tokens, of which the first is never learnt and others by chance.
std::vector<Example> make_examples(size_t count) {
  const CounterRandom random(7, stream_of("sizes"));
  uint64_t draw = 0;
  std::vector<Example> examples(count);
  for (Example& example : examples) {
    for (uint64_t i = random.below(draw++, 40) + 1; i > 0; --i) {
      example.input_ids.push_back(static_cast<int32_t>(i));
      example.labels.push_back(random.below(draw++, 2) == 0 ? kIgnore : static_cast<int32_t>(i));
    }
  }
  return examples;
}

TEST(ExampleSizes, AreTheSameCountedOrNot) {
  const std::vector<Example> examples = make_examples(50);
  const std::vector<ExampleSize> counted = sizes_of(examples);
  const ExampleSizes of_examples = examples;
  const ExampleSizes of_counted = counted;
  ASSERT_EQ(of_examples.size(), 50u);
  ASSERT_EQ(of_counted.size(), 50u);
  EXPECT_EQ(of_examples.lengths(), of_counted.lengths());
  for (size_t i = 0; i < examples.size(); ++i) {
    EXPECT_EQ(of_examples.num_tokens(i), examples[i].num_tokens());
    EXPECT_EQ(of_counted.num_tokens(i), examples[i].num_tokens());
    EXPECT_EQ(of_examples.num_supervised(i), examples[i].num_supervised());
    EXPECT_EQ(of_counted.num_supervised(i), examples[i].num_supervised());
  }
}

TEST(ExampleSizes, OfNothingAreEmpty) {
  EXPECT_TRUE(ExampleSizes().empty());
  EXPECT_TRUE(ExampleSizes(std::vector<Example>()).empty());
  EXPECT_TRUE(ExampleSizes(std::vector<ExampleSize>()).empty());
}

// Whatever the shuffle of the epoch.
TEST(EpochLength, IsThatOfTheLoader) {
  for (const size_t count : {1u, 2u, 37u, 200u}) {
    const std::vector<Example> examples = make_examples(count);
    const std::vector<ExampleSize> counted = sizes_of(examples);
    for (const bool is_packed : {false, true}) {
      for (const uint64_t seed : {1u, 2u, 3u}) {
        const LoaderOptions options{.sequence_len = 64,
                                    .micro_batch_size = 2,
                                    .gradient_accumulation_steps = 3,
                                    .sample_packing = is_packed,
                                    .seed = seed};
        const Loader loader(examples, options);
        EXPECT_EQ(rows_in_epoch(counted, options), loader.rows_in_epoch());
        EXPECT_EQ(steps_in_epoch(counted, options), loader.steps_in_epoch(0));
        EXPECT_EQ(steps_in_epoch(examples, options), loader.steps_in_epoch(0));
      }
    }
  }
}

}  // namespace
}  // namespace rung::data
