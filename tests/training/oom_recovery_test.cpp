// Runs whose memory fails, at every allocation there is: they end with what an undisturbed run ends
// with.
#include "training/oom_recovery.h"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <string>
#include <vector>

#include "data/split.h"
#include "memory/counting_allocator.h"
#include "step/step.h"
#include "tests/support/counting.h"
#include "tests/support/expect_error.h"
#include "tests/support/tensors.h"
#include "tests/support/tiny_run.h"
#include "training/evaluation.h"

namespace rung::training {
namespace {

using rung::testing::error_of;
using rung::testing::relative_error;
using rung::testing::TinyFolder;

constexpr int64_t kSteps = 2;

struct Outcome {
  std::vector<double> losses;
  at::Tensor parameters;
  std::vector<OutOfMemory> events;
  fit::StepSettings settings;
  int64_t num_allocations = 0;
  int64_t left_behind = 0;  // bytes
};

class OomRecoveryTest : public ::testing::Test {
 protected:
  // Two steps, of whose allocations `count` fail from `first` on.
  Outcome train(int64_t first, int64_t count, int64_t most_recoveries = 100) {
    memory::Counter& counter = memory::cpu_counter();
    rung::testing::TinyRun run(folder_, {.base = model::BaseFormat::kNf4, .dropout = 0.1});
    Outcome outcome;
    OomRecovery recovery(memory::cpu_device(), most_recoveries,
                         [&](const OutOfMemory& event) { outcome.events.push_back(event); });
    const int64_t live = counter.usage().live;
    counter.fail_allocations(first, count);
    for (int64_t index = 0; index < kSteps; ++index) {
      const step::StepResult result = recovery.run(
          attempted_step(batch_, index + 1, examples_), bounds_, outcome.settings,
          [&](const fit::StepSettings& settings) {
            return step::run_step(
                run.model, run.optimizer, data::split_step(batch_, settings.split),
                {.index = index, .learning_rate = 1e-3},
                {.memory = settings.memory, .seed = 7, .should_stop = between_micro_batches_});
          });
      EXPECT_EQ(result.outcome, step::StepOutcome::kUpdated);
      outcome.losses.push_back(result.loss);
    }
    outcome.num_allocations = counter.num_allocations();
    counter.fail_allocations(0, 0);
    outcome.left_behind = counter.usage().live - live;
    outcome.parameters = run.parameters().clone();
    return outcome;
  }

  std::function<bool()> between_micro_batches_;
  TinyFolder folder_{rung::testing::deep_llama(2)};
  std::vector<data::Example> examples_ =
      rung::testing::random_examples(std::vector<int64_t>{30, 5, 21, 40}, 3);
  data::StepBatch batch_ = rung::testing::step_batch(examples_, {{0, 1, 2}, {3}});
  fit::LadderBounds bounds_{.num_blocks = 2,
                            .most_recomputed = 2,
                            .is_quantized = true,
                            .num_documents = 3,
                            .num_tokens = 56,
                            .mlp_tile = 24};
};

TEST_F(OomRecoveryTest, EveryAllocationMayFailOnce) {
  const Outcome expected = train(0, 0);
  ASSERT_GT(expected.num_allocations, 200);
  for (int64_t i = 0; i < expected.num_allocations; ++i) {
    const Outcome outcome = train(i, 1);
    ASSERT_EQ(outcome.losses, expected.losses) << i;
    ASSERT_TRUE(outcome.parameters.equal(expected.parameters)) << i;
    ASSERT_EQ(outcome.events.size(), 1u) << i;
    EXPECT_TRUE(outcome.events[0].is_again);
    ASSERT_EQ(outcome.left_behind, 0) << i;
  }
}

// The allocation, and the first one of the next attempt: the next rung is climbed.
TEST_F(OomRecoveryTest, EveryAllocationMayFailTwice) {
  const Outcome expected = train(0, 0);
  for (int64_t i = 0; i < expected.num_allocations; ++i) {
    const Outcome outcome = train(i, 2);
    ASSERT_EQ(outcome.losses.size(), expected.losses.size());
    for (size_t step = 0; step < expected.losses.size(); ++step) {
      ASSERT_NEAR(outcome.losses[step], expected.losses[step], 1e-5 * expected.losses[step]) << i;
    }
    ASSERT_LE(relative_error(outcome.parameters, expected.parameters), 1e-4) << i;
    ASSERT_EQ(outcome.events.size(), 2u) << i;
    EXPECT_FALSE(outcome.events[1].is_again);
    EXPECT_NE(outcome.events[1].from, outcome.events[1].to);
    ASSERT_EQ(outcome.left_behind, 0) << i;
  }
}

TEST_F(OomRecoveryTest, ClimbsUntilItFits) {
  const Outcome expected = train(0, 0);
  const Outcome outcome = train(50, 5);
  EXPECT_EQ(outcome.events.size(), 5u);
  EXPECT_NE(outcome.settings, fit::StepSettings{});
  EXPECT_LE(relative_error(outcome.parameters, expected.parameters), 1e-4);
  EXPECT_NE(outcome.events[0].what.during.find(
                "step 1 (4 documents in 2 micro-batches, 5 to 40 tokens, "),
            std::string::npos)
      << outcome.events[0].what.during;
  EXPECT_NE(outcome.events[0].reason.find("bytes asked for"), std::string::npos);
}

// A kernel's scratch memory, say, beside the allocator's kept blocks.
TEST_F(OomRecoveryTest, WhatTheSystemRefusesInAStepIsTriedAgain) {
  const Outcome expected = train(0, 0);
  at::empty({4 << 20}, at::kByte);
  ASSERT_GT(memory::kept_block_bytes(), 0);
  int64_t kept_again = -1;
  int calls = 0;
  between_micro_batches_ = [&] {
    if (++calls == 2) throw std::bad_alloc();
    if (calls == 3) kept_again = memory::kept_block_bytes();
    return false;
  };
  const Outcome outcome = train(0, 0);
  ASSERT_EQ(outcome.events.size(), 1u);
  EXPECT_TRUE(outcome.events[0].is_again);
  EXPECT_EQ(outcome.events[0].reason, kRefusedBySystem);
  EXPECT_EQ(kept_again, 0) << "given back before the step is taken again";
  EXPECT_EQ(outcome.losses, expected.losses);
  EXPECT_TRUE(outcome.parameters.equal(expected.parameters));
  EXPECT_EQ(outcome.left_behind, 0);
}

TEST_F(OomRecoveryTest, WhatTheSystemGoesOnRefusingClimbsTheLadder) {
  const Outcome expected = train(0, 0);
  int calls = 0;
  between_micro_batches_ = [&]() -> bool {
    if (++calls <= 4) throw std::bad_alloc();
    return false;
  };
  const Outcome outcome = train(0, 0);
  EXPECT_EQ(outcome.events.size(), 4u);
  EXPECT_NE(outcome.settings, fit::StepSettings{});
  EXPECT_LE(relative_error(outcome.parameters, expected.parameters), 1e-4);
  between_micro_batches_ = []() -> bool { throw std::bad_alloc(); };
  const std::string message = error_of(ExitCode::kDoesNotFit, [&] { train(0, 0, 1'000'000); });
  EXPECT_NE(message.find("the system gave no more"), std::string::npos) << message;
}

TEST_F(OomRecoveryTest, EndsAtTheTopOfTheLadder) {
  const std::string message =
      error_of(ExitCode::kDoesNotFit, [&] { train(50, 1'000'000, 1'000'000); });
  memory::cpu_counter().fail_allocations(0, 0);
  EXPECT_NE(message.find("out of memory in step 1"), std::string::npos) << message;
  EXPECT_NE(message.find("it is the last rung"), std::string::npos) << message;
}

TEST_F(OomRecoveryTest, EndsAfterTheAllowedNumber) {
  const std::string message = error_of(ExitCode::kDoesNotFit, [&] { train(50, 4, 3); });
  memory::cpu_counter().fail_allocations(0, 0);
  EXPECT_NE(message.find("max_oom_recoveries is reached"), std::string::npos) << message;
}

TEST_F(OomRecoveryTest, EvaluationGoesOnInParts) {
  memory::Counter& counter = memory::cpu_counter();
  const auto examples = rung::testing::random_examples(std::vector<int64_t>{30, 5, 21, 40, 9}, 3);
  rung::testing::TinyRun run(folder_, {.base = model::BaseFormat::kNf4});
  counter.fail_allocations(0, 0);
  fit::StepSettings whole;
  const Evaluation expected = evaluate(run.model, examples, {.batch_size = 3}, whole);
  const int64_t num_allocations = counter.num_allocations();
  const int64_t live = counter.usage().live;
  for (const int64_t failures : {1, 2}) {
    for (int64_t i = 0; i < num_allocations; ++i) {
      std::vector<OutOfMemory> events;
      OomRecovery recovery(memory::cpu_device(), 10,
                           [&](const OutOfMemory& event) { events.push_back(event); });
      counter.fail_allocations(i, failures);
      fit::StepSettings settings;
      const Evaluation got =
          evaluate(run.model, examples, {.batch_size = 3, .recovery = &recovery}, settings);
      if (failures == 2) EXPECT_NE(settings, fit::StepSettings{}) << "is kept for the next one";
      counter.fail_allocations(0, 0);
      ASSERT_EQ(std::ssize(events), failures) << i;
      ASSERT_EQ(got.tokens, expected.tokens);
      if (failures == 1) ASSERT_EQ(got.loss, expected.loss) << i;
      ASSERT_NEAR(got.loss, expected.loss, 1e-6 * expected.loss) << i;
      ASSERT_EQ(counter.usage().live, live) << i;
    }
  }
}

}  // namespace
}  // namespace rung::training
