// Micro-batches and the order in which they come.
#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/expect_error.h"

namespace rung::data {
namespace {

// Example i has 1 + (7 i mod 13) + 1 tokens, each of which tells example and position.
std::vector<Example> make_examples(int64_t count) {
  std::vector<Example> examples(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Example& example = examples[static_cast<size_t>(i)];
    const int64_t length = 2 + 7 * i % 13;
    for (int64_t position = 0; position < length; ++position) {
      example.input_ids.push_back(static_cast<int32_t>(100 * i + position));
      example.labels.push_back(position == 0 ? kIgnore : example.input_ids.back());
    }
  }
  return examples;
}

// The documents of each micro-batch of a step; tells two steps apart.
std::vector<std::vector<int64_t>> documents_of(const StepBatch& step) {
  std::vector<std::vector<int64_t>> documents;
  for (const MicroBatch& batch : step.micro_batches) documents.push_back(batch.documents);
  return documents;
}

using Epoch = std::vector<std::vector<std::vector<int64_t>>>;

Epoch run_epoch(Loader& loader) {
  Epoch steps;
  const int64_t epoch = loader.state().epoch;
  while (loader.state().epoch == epoch) steps.push_back(documents_of(loader.next()));
  return steps;
}

std::vector<int64_t> flatten(const Epoch& epoch) {
  std::vector<int64_t> documents;
  for (const auto& step : epoch) {
    for (const auto& batch : step) documents.insert(documents.end(), batch.begin(), batch.end());
  }
  return documents;
}

const LoaderOptions kPacked = {.sequence_len = 20,
                               .micro_batch_size = 2,
                               .gradient_accumulation_steps = 3,
                               .sample_packing = true,
                               .shuffle = true,
                               .seed = 7};
const LoaderOptions kPlain = {.sequence_len = 20,
                              .micro_batch_size = 2,
                              .gradient_accumulation_steps = 3,
                              .sample_packing = false,
                              .shuffle = true,
                              .seed = 7};

TEST(MakeMicroBatch, LaysDocumentsEndToEnd) {
  const std::vector<Example> examples = make_examples(3);  // of 2, 9 and 3 tokens
  const std::vector<int64_t> indices = {2, 0};
  const MicroBatch batch = make_micro_batch(examples, indices);
  EXPECT_EQ(batch.input_ids, (std::vector<int32_t>{200, 201, 202, 0, 1}));
  EXPECT_EQ(batch.cu_seqlens, (std::vector<int32_t>{0, 3, 5}));
  EXPECT_EQ(batch.documents, indices);
}

TEST(MakeMicroBatch, RestartsPositionsInEachDocument) {
  const std::vector<Example> examples = make_examples(3);
  const MicroBatch batch = make_micro_batch(examples, std::vector<int64_t>{2, 0});
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{0, 1, 2, 0, 1}));
}

TEST(MakeMicroBatch, ShiftsTargetsWithinADocument) {
  const std::vector<Example> examples = make_examples(3);
  const MicroBatch batch = make_micro_batch(examples, std::vector<int64_t>{2, 0});
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{201, 202, kIgnore, 1, kIgnore}));
  EXPECT_EQ(batch.num_supervised(), 3);
}

TEST(MakeMicroBatch, NeverLearnsTheFirstToken) {
  const std::vector<Example> examples = {{.input_ids = {5, 6}, .labels = {5, kIgnore}}};
  const MicroBatch batch = make_micro_batch(examples, std::vector<int64_t>{0});
  EXPECT_EQ(batch.num_supervised(), 0);
  EXPECT_EQ(examples[0].num_supervised(), 0);
}

TEST(Loader, TakesEveryExampleOnceAnEpoch) {
  const std::vector<Example> examples = make_examples(33);
  for (const LoaderOptions& options : {kPacked, kPlain}) {
    Loader loader(examples, options);
    std::vector<int64_t> documents = flatten(run_epoch(loader));
    std::sort(documents.begin(), documents.end());
    ASSERT_EQ(documents.size(), 33u);
    for (int64_t i = 0; i < 33; ++i) EXPECT_EQ(documents[static_cast<size_t>(i)], i);
  }
}

TEST(Loader, SplitsAStepIntoMicroBatchesOfRows) {
  const std::vector<Example> examples = make_examples(13);
  Loader loader(examples, kPlain);
  EXPECT_EQ(loader.steps_in_epoch(0), 3);
  const StepBatch step = loader.next();
  ASSERT_EQ(step.micro_batches.size(), 3u);
  for (const MicroBatch& batch : step.micro_batches) EXPECT_EQ(batch.documents.size(), 2u);
}

TEST(Loader, EndsAnEpochWithASmallerStep) {
  const std::vector<Example> examples = make_examples(13);
  Loader loader(examples, kPlain);
  const Epoch epoch = run_epoch(loader);
  ASSERT_EQ(epoch.size(), 3u);
  ASSERT_EQ(epoch.back().size(), 1u);
  EXPECT_EQ(epoch.back()[0].size(), 1u);
}

TEST(Loader, CountsTheTokensOfAStep) {
  const std::vector<Example> examples = make_examples(3);
  Loader loader(examples, kPlain);
  const StepBatch step = loader.next();
  EXPECT_EQ(step.num_tokens(), 2 + 9 + 3);
  EXPECT_EQ(step.num_supervised(), 1 + 8 + 2);
}

TEST(Loader, KeepsPackedRowsWithinSequenceLen) {
  const std::vector<Example> examples = make_examples(65);
  LoaderOptions options = kPacked;
  options.micro_batch_size = 1;
  Loader loader(examples, options);
  for (int64_t i = 0; i < loader.steps_in_epoch(0); ++i) {
    for (const MicroBatch& batch : loader.next().micro_batches) {
      EXPECT_LE(batch.num_tokens(), options.sequence_len);
    }
  }
}

TEST(Loader, ComesInTheSameOrderForTheSameSeed) {
  const std::vector<Example> examples = make_examples(33);
  for (const LoaderOptions& options : {kPacked, kPlain}) {
    Loader first(examples, options);
    Loader second(examples, options);
    for (int epoch = 0; epoch < 3; ++epoch) EXPECT_EQ(run_epoch(first), run_epoch(second));
  }
}

TEST(Loader, ComesInAnotherOrderEachEpoch) {
  const std::vector<Example> examples = make_examples(33);
  for (const LoaderOptions& options : {kPacked, kPlain}) {
    Loader loader(examples, options);
    EXPECT_NE(run_epoch(loader), run_epoch(loader));
  }
}

TEST(Loader, ComesInAnotherOrderForAnotherSeed) {
  const std::vector<Example> examples = make_examples(33);
  for (LoaderOptions options : {kPacked, kPlain}) {
    Loader first(examples, options);
    options.seed = 8;
    Loader second(examples, options);
    EXPECT_NE(run_epoch(first), run_epoch(second));
  }
}

TEST(Loader, KeepsTheFileOrderWithoutShuffle) {
  const std::vector<Example> examples = make_examples(9);
  LoaderOptions options = kPlain;
  options.shuffle = false;
  Loader loader(examples, options);
  const std::vector<int64_t> expected = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(flatten(run_epoch(loader)), expected);
  EXPECT_EQ(flatten(run_epoch(loader)), expected);
}

TEST(Loader, WrapsIntoTheNextEpoch) {
  const std::vector<Example> examples = make_examples(13);
  Loader loader(examples, kPlain);
  EXPECT_EQ(loader.next().epoch, 0);
  loader.next();
  EXPECT_EQ(loader.state().step_in_epoch, 2);
  EXPECT_EQ(loader.next().epoch, 0);
  EXPECT_EQ(loader.state().epoch, 1);
  EXPECT_EQ(loader.state().step_in_epoch, 0);
  EXPECT_EQ(loader.next().epoch, 1);
}

TEST(Loader, ContinuesExactlyFromAnyState) {
  const std::vector<Example> examples = make_examples(33);
  for (const LoaderOptions& options : {kPacked, kPlain}) {
    Loader unbroken(examples, options);
    const int64_t num_steps = 3 * unbroken.steps_in_epoch(0);
    std::vector<LoaderState> states;
    std::vector<StepBatch> steps;
    for (int64_t i = 0; i < num_steps; ++i) {
      states.push_back(unbroken.state());
      steps.push_back(unbroken.next());
    }
    for (size_t from = 0; from < states.size(); ++from) {
      Loader resumed(examples, options);
      resumed.seek(states[from]);
      for (size_t i = from; i < steps.size(); ++i) {
        const StepBatch step = resumed.next();
        ASSERT_EQ(step.epoch, steps[i].epoch);
        ASSERT_EQ(documents_of(step), documents_of(steps[i])) << "from " << from << " at " << i;
      }
    }
  }
}

TEST(Loader, SeeksBackwards) {
  const std::vector<Example> examples = make_examples(33);
  Loader loader(examples, kPacked);
  const auto first = documents_of(loader.next());
  run_epoch(loader);
  loader.seek({});
  EXPECT_EQ(documents_of(loader.next()), first);
}

TEST(Loader, HasTheSameNumberOfStepsInEachEpoch) {
  const std::vector<Example> examples = make_examples(101);
  Loader loader(examples, kPacked);
  const int64_t steps = loader.steps_in_epoch(0);
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    EXPECT_EQ(static_cast<int64_t>(run_epoch(loader).size()), steps);
  }
}

TEST(Loader, RefusesAPositionBehindTheData) {
  const std::vector<Example> examples = make_examples(13);
  Loader loader(examples, kPlain);
  rung::testing::expect_error(ExitCode::kDamaged,
                              "not in the data: got epoch 0, step 3, expected a step in 0..2",
                              [&] { loader.seek({.epoch = 0, .step_in_epoch = 3}); });
}

TEST(EvaluationBatches, TakeEveryExampleInOrder) {
  const std::vector<Example> examples = make_examples(7);
  const std::vector<MicroBatch> batches = evaluation_batches(examples, 3);
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[0].documents, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(batches[2].documents, (std::vector<int64_t>{6}));
}

}  // namespace
}  // namespace rung::data
