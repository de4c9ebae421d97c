// Whole runs at their memory limit: what does not fit, what is climbed to, and what a resume makes
// of it.
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <csignal>

#include "base/units.h"
#include "tests/support/expect_error.h"
#include "tests/training/tiny_run.h"
#include "training/run.h"

namespace rung::training {
namespace {

using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::kTinySteps;
using rung::testing::rows_of_kind;
using rung::testing::run_record_of;
using rung::testing::TinyRun;
using rung::testing::WatchedLog;

TEST(Train, RefusesAStepThatCannotFit) {
  TinyRun run;
  run.config.memory_limit = 200 << 10;
  const std::string message = error_of(ExitCode::kDoesNotFit, [&] { run.train(); });
  EXPECT_NE(message.find("expected at most 200.0 KiB"), std::string::npos) << message;
  const Json record = run_record_of(run.config.output_dir);
  EXPECT_EQ(record["exit_code"], 4);
  EXPECT_EQ(record["exit_reason"], message);
  EXPECT_EQ(record["steps"], 0);
}

int64_t planned_peak(const TinyRun& run) {
  return run_record_of(run.config.output_dir)["memory"]["planned_peak"];
}

TEST(Train, RecomputesBlocksUntilItFits) {
  TinyRun run;
  run.config.sequence_len = 128;
  run.config.gradient_checkpointing = {.mode = Recompute::Mode::kAll};
  run.train();
  const int64_t smallest = planned_peak(run);
  const std::string adapter =
      rung::testing::file_bytes(run.config.output_dir / "adapter_model.safetensors");
  run.config.memory_limit = smallest;
  run.config.gradient_checkpointing = {};
  run.config.fit = "off";  // nothing else is changed
  WatchedLog log;
  run.train(log, {.mode = ResumeChoice::Mode::kNever});
  EXPECT_TRUE(log.contains("2 of 2 blocks recomputed")) << log.text();
  EXPECT_EQ(rung::testing::file_bytes(run.config.output_dir / "adapter_model.safetensors"),
            adapter);
}

TEST(Train, SaysWhatItChangedToFitAndWhatItWouldHaveTaken) {
  TinyRun run;
  run.config.sequence_len = 128;
  WatchedLog whole;
  run.train(whole);
  EXPECT_FALSE(whole.contains("fit       ")) << whole.text();
  const int64_t wanted = planned_peak(run);
  run.config.memory_limit = wanted - 1;
  run.config.fit = "off";  // nothing but blocks is changed
  WatchedLog log;
  run.train(log, {.mode = ResumeChoice::Mode::kNever});
  EXPECT_TRUE(log.contains("fit       1 of 2 blocks recomputed instead of 0; otherwise " +
                           format_bytes(wanted) + "\n"))
      << log.text();
}

TEST(Train, RefusesAChoiceOfRecomputedBlocksThatCannotFit) {
  TinyRun run;
  run.config.sequence_len = 128;
  run.config.gradient_checkpointing = {.mode = Recompute::Mode::kNone};
  run.train();
  run.config.memory_limit = planned_peak(run) - 1;
  run.config.fit = "off";
  expect_error(ExitCode::kDoesNotFit, "does not fit, even with 0 of 2 blocks recomputed",
               [&] { run.train({.mode = ResumeChoice::Mode::kNever}); });
}

// Rows of a micro-batch are cut between their documents, in the probe as in the steps.
TEST(Train, CutsPackedRowsWhereNoBlockMayBeRecomputed) {
  TinyRun run;
  run.config.sequence_len = 128;
  run.config.gradient_checkpointing = {.mode = Recompute::Mode::kNone};
  run.train();
  run.config.memory_limit = planned_peak(run) - 1;
  WatchedLog log;
  EXPECT_EQ(run.train(log, {.mode = ResumeChoice::Mode::kNever}), ExitCode::kOk) << log.text();
  EXPECT_TRUE(log.contains("micro-batches in 2 parts")) << log.text();
  EXPECT_FALSE(log.contains("out of memory")) << log.text();
  const Json memory = run_record_of(run.config.output_dir)["memory"];
  EXPECT_LE(memory["measured_peak"], memory["planned_peak"]);
}

// As if a library took more for itself inside an operator than the plan can know of. Micro-batches
// of one document, which cannot be cut: recomputation is what helps, and leaves every bit.
struct UnplannedRun : TinyRun {
  UnplannedRun() {
    config.sample_packing = false;
    config.gradient_checkpointing = {.mode = Recompute::Mode::kAll};
    train();
    most_recomputed = planned_peak(*this);
    adapter = rung::testing::file_bytes(config.output_dir / "adapter_model.safetensors");
    config.gradient_checkpointing = {};
    train({.mode = ResumeChoice::Mode::kNever});
    config.memory_limit = planned_peak(*this);  // without recomputation, and no byte more
    unplanned =
        at::empty({(config.memory_limit - most_recomputed) / 2}, at::TensorOptions(at::kByte));
  }
  int64_t most_recomputed = 0;  // peak with every block recomputed
  std::string adapter;          // of an undisturbed run
  at::Tensor unplanned;
};

TEST(Train, GoesOnWithMoreRecomputationWhereMemoryRunsOut) {
  UnplannedRun run;
  WatchedLog log;
  EXPECT_EQ(run.train(log, {.mode = ResumeChoice::Mode::kNever}), ExitCode::kOk) << log.text();
  EXPECT_TRUE(log.contains("out of memory in the largest micro-batch")) << log.text();
  EXPECT_TRUE(log.contains("once more as it was")) << log.text();
  const Json record = run_record_of(run.config.output_dir);
  EXPECT_GE(record["oom_recoveries"], 2);
  const std::vector<Json> events = rows_of_kind(run.config.output_dir, "out_of_memory");
  ASSERT_EQ(events.size(), record["oom_recoveries"].get<size_t>());
  EXPECT_EQ(events[0].at("again"), true);
  EXPECT_EQ(events[1].at("again"), false);
  EXPECT_EQ(events[1].at("to"), record["rung_changes"][0]["to"]);
  ASSERT_FALSE(record["rung_changes"].empty());
  EXPECT_NE(record["rung_changes"][0]["to"].get<std::string>().find("blocks recomputed"),
            std::string::npos);
  EXPECT_EQ(rung::testing::file_bytes(run.config.output_dir / "adapter_model.safetensors"),
            run.adapter);
  const Json state = read_json_file(run.checkpoint(kTinySteps) / "state.json");
  EXPECT_GT(state["climbed"]["recomputed_blocks"], 0);
}

TEST(Train, EndsWhereMemoryRunsOutWithFitOff) {
  UnplannedRun run;
  run.config.fit = "off";
  expect_error(ExitCode::kDoesNotFit, "out of memory in step ",  // that of the longest example
               [&] { run.train({.mode = ResumeChoice::Mode::kNever}); });
  const Json record = run_record_of(run.config.output_dir);
  EXPECT_EQ(record["exit_code"], 4);
  EXPECT_EQ(record["oom_recoveries"], 0);
  EXPECT_NE(record["exit_reason"].get<std::string>().find("out of memory"), std::string::npos);
}

// What was climbed to is a part of the run: the process that goes on does not fall into the same
// hole.
TEST(Train, ResumesOnTheRungItHadClimbedTo) {
  UnplannedRun run;
  WatchedLog stopping("step 2/6", [] { std::raise(SIGTERM); });
  EXPECT_EQ(run.train(stopping, {.mode = ResumeChoice::Mode::kNever}), ExitCode::kStopped);
  WatchedLog log;
  EXPECT_EQ(run.train(log), ExitCode::kOk) << log.text();
  EXPECT_FALSE(log.contains("out of memory")) << log.text();
  EXPECT_EQ(rung::testing::file_bytes(run.config.output_dir / "adapter_model.safetensors"),
            run.adapter);
}

// A machine with less memory than the one that climbed: from there on, planned, not by failing.
TEST(Train, ResumesOnAHigherRungWhereItHasTo) {
  UnplannedRun run;
  WatchedLog stopping("step 2/6", [] { std::raise(SIGTERM); });
  EXPECT_EQ(run.train(stopping, {.mode = ResumeChoice::Mode::kNever}), ExitCode::kStopped);
  run.unplanned.reset();
  run.config.memory_limit = run.most_recomputed;
  WatchedLog log;
  EXPECT_EQ(run.train(log), ExitCode::kOk) << log.text();
  EXPECT_TRUE(log.contains("goes on   with 2 of 2 blocks recomputed")) << log.text();
  EXPECT_FALSE(log.contains("out of memory in")) << log.text();
  EXPECT_LE(planned_peak(run), run.most_recomputed);
  EXPECT_EQ(rung::testing::file_bytes(run.config.output_dir / "adapter_model.safetensors"),
            run.adapter);
}

}  // namespace
}  // namespace rung::training
