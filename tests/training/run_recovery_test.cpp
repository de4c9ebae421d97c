// Whole runs in which an allocation fails, wherever that is: they end as undisturbed ones do.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "memory/counting_allocator.h"
#include "tests/training/tiny_run.h"

namespace rung::training {
namespace {

using rung::testing::TinyRun;
using rung::testing::WatchedLog;

// A probe, six steps, evaluations in between, and checkpoints.
struct EvaluatedRun : TinyRun {
  EvaluatedRun() {
    config.test_datasets = {{.path = dir.write("test.jsonl", rung::testing::tiny_records(4, 256)),
                             .type = DatasetType::kTokenized}};
    config.eval_steps = 3;
    config.save_steps = 2;
  }

  // Trains anew; of the allocations from the probe on, `count` fail from `first` on. How many there
  // were is left in num_allocations.
  ExitCode train_failing(int64_t first, int64_t count) {
    memory::Counter& counter = memory::cpu_counter();
    WatchedLog log("probe  ", [&] { counter.fail_allocations(first, count); });
    const ExitCode code = train(log, {.mode = ResumeChoice::Mode::kNever});
    num_allocations = counter.num_allocations();
    counter.fail_allocations(0, 0);
    return code;
  }

  // Step, kind and loss of every step and evaluation, the adapter, and the optimizer's state.
  std::map<std::string, std::string> outcome() const {
    std::map<std::string, std::string> outcome;
    for (const Json& row : rung::testing::metrics_of(config.output_dir)) {
      if (!row.contains("loss")) continue;
      outcome["losses"] += row.at("kind").get<std::string>() + row.at("step").dump() + ":" +
                           row.at("loss").dump() + " ";
    }
    outcome["adapter"] = rung::testing::file_bytes(config.output_dir / "adapter_model.safetensors");
    outcome["optimizer"] =
        rung::testing::file_bytes(checkpoint(kTinySteps) / "optimizer.safetensors");
    return outcome;
  }

  static constexpr int64_t kTinySteps = rung::testing::kTinySteps;
  int64_t num_allocations = 0;
};

// Every n-th is enough here: oom_recovery_test.cpp makes each allocation of a step and of an
// evaluation fail. A prime stride meets all places of a step over the steps of a run.
constexpr int64_t kStride = 61;

TEST(RunRecovery, OneFailureAnywhereLeavesEveryBit) {
  EvaluatedRun run;
  ASSERT_EQ(run.train_failing(0, 0), ExitCode::kOk);
  const auto expected = run.outcome();
  const int64_t live = memory::cpu_counter().usage().live;
  const int64_t num_allocations = run.num_allocations;
  ASSERT_GT(num_allocations, 20 * kStride);
  for (int64_t first = 0; first < num_allocations; first += kStride) {
    SCOPED_TRACE(first);
    ASSERT_EQ(run.train_failing(first, 1), ExitCode::kOk);
    EXPECT_EQ(rung::testing::run_record_of(run.config.output_dir)["oom_recoveries"], 1);
    const auto got = run.outcome();
    EXPECT_EQ(got.at("losses"), expected.at("losses"));
    EXPECT_TRUE(got.at("adapter") == expected.at("adapter"));
    EXPECT_TRUE(got.at("optimizer") == expected.at("optimizer"));
    EXPECT_EQ(memory::cpu_counter().usage().live, live);
  }
}

// The last allocations are those of the last evaluation and of what follows it.
TEST(RunRecovery, AFailureAtTheVeryEndIsGoneOnFrom) {
  EvaluatedRun run;
  ASSERT_EQ(run.train_failing(0, 0), ExitCode::kOk);
  const auto expected = run.outcome();
  const int64_t last = run.num_allocations - 1;
  ASSERT_EQ(run.train_failing(last, 1), ExitCode::kOk);
  EXPECT_EQ(run.outcome(), expected);
}

}  // namespace
}  // namespace rung::training
