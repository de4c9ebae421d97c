// Resuming from a checkpoint that the user names (--resume DIR).
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "base/publish.h"
#include "tests/support/expect_error.h"
#include "tests/training/resume_fixture.h"
#include "training/checkpoint.h"
#include "training/resume.h"
#include "training/run_record.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::damage;
using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::expect_same_outcome;
using rung::testing::from;
using rung::testing::Outcome;
using rung::testing::ResumeTest;
using rung::testing::rows_of_kind;
using rung::testing::TinyRun;
using rung::testing::WatchedLog;

TEST_F(ResumeTest, GoesOnFromANamedCheckpoint) {
  run_.config.save_steps = 1;
  run_.config.save_total_limit = 10;
  stop_after_step(5);
  WatchedLog log;
  ASSERT_EQ(run_.train(log, from(run_.checkpoint(2))), ExitCode::kOk);
  EXPECT_TRUE(log.contains("(step 2)")) << log.text();
  expect_unbroken();
}

// A process may be killed at any time after it said its plan.
TEST_F(ResumeTest, ANamedCheckpointIsTheNewestFromTheStart) {
  run_.config.save_steps = 1;
  run_.config.save_total_limit = 10;
  stop_after_step(5);
  bool looked = false;
  WatchedLog log("plan  ", [&] {
    looked = true;
    EXPECT_EQ(list_checkpoints(run_.config.output_dir).front(), run_.checkpoint(2));
    for (const Json& row : rows_of_kind(run_.config.output_dir, "train")) EXPECT_LE(row["step"], 2);
    std::raise(SIGTERM);
  });
  EXPECT_EQ(run_.train(log, from(run_.checkpoint(2))), ExitCode::kStopped);
  EXPECT_TRUE(looked);
  WatchedLog second;
  ASSERT_EQ(run_.train(second), ExitCode::kOk);
  EXPECT_TRUE(second.contains("(step 2)")) << second.text();
  expect_unbroken();
}

TEST_F(ResumeTest, ANamedCheckpointOfAFinishedRunMakesItUnfinished) {
  run_.config.save_steps = 1;
  run_.config.save_total_limit = 10;
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  WatchedLog log("plan  ", [&] {
    EXPECT_EQ(inputs_of_finished_run(run_.config.output_dir), std::nullopt);
    std::raise(SIGTERM);
  });
  EXPECT_EQ(run_.train(log, from(run_.checkpoint(4))), ExitCode::kStopped);
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, ANamedCheckpointMayLieElsewhere) {
  stop_after_step(3);
  fs::rename(run_.checkpoint(3), run_.dir / "kept");
  run_.config.output_dir = run_.dir / "second";
  WatchedLog log("plan  ", [&] {
    EXPECT_NO_THROW(verify_manifest(run_.checkpoint(3)));
    std::raise(SIGTERM);
  });
  EXPECT_EQ(run_.train(log, from(run_.dir / "kept")), ExitCode::kStopped);
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  Outcome got = outcome(run_);
  got["metrics.jsonl"] = unbroken_->at("metrics.jsonl");  // it has the steps from the fourth on
  expect_same_outcome(got, *unbroken_);
}

TEST_F(ResumeTest, ANamedCheckpointHelpsWhereAllOfTheFolderAreDamaged) {
  run_.config.save_steps = 1;
  stop_after_step(4);
  fs::copy(run_.checkpoint(3), run_.dir / "kept", fs::copy_options::recursive);
  damage(run_.checkpoint(3) / "state.json");
  damage(run_.checkpoint(4) / "state.json");
  ASSERT_EQ(run_.train(from(run_.dir / "kept")), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, ANamedCheckpointDoesNotGoIntoAnotherRunsFolder) {
  stop_after_step(2);
  TinyRun other;
  prepare(other);
  other.config.seed = 1;
  WatchedLog log("step 1/6", [] { std::raise(SIGTERM); });
  ASSERT_EQ(other.train(log), ExitCode::kStopped);
  other.config.seed = run_.config.seed;
  const std::string message =
      error_of(ExitCode::kConfig, [&] { other.train(from(run_.checkpoint(2))); });
  EXPECT_NE(message.find("output_dir holds a run with another configuration: got other values of "
                         "seed"),
            std::string::npos)
      << message;
  EXPECT_TRUE(fs::exists(other.checkpoint(1)));
}

TEST_F(ResumeTest, ANamedCheckpointDoesNotGoIntoTheFolderOfARunOverOtherData) {
  stop_after_step(2);
  TinyRun other;
  prepare(other);
  const std::string records = other.dir.read("train.jsonl");
  other.dir.write("train.jsonl", records + "{\"input_ids\":[1,2,3]}\n");
  WatchedLog log("step 1/6", [] { std::raise(SIGTERM); });
  ASSERT_EQ(other.train(log), ExitCode::kStopped);
  other.dir.write("train.jsonl", records);
  expect_error(ExitCode::kConfig, "output_dir holds a run with other inputs",
               [&] { other.train(from(run_.checkpoint(2))); });
}

TEST_F(ResumeTest, RefusesANamedCheckpointThatIsNotThere) {
  expect_error(ExitCode::kConfig, "step-000009", [&] { run_.train(from(run_.checkpoint(9))); });
}

TEST_F(ResumeTest, RefusesANamedCheckpointOfAnotherRun) {
  stop_after_step(2);
  TinyRun other;
  expect_error(ExitCode::kConfig, "the checkpoint is of a run with another configuration",
               [&] { other.train(from(run_.checkpoint(2))); });
}

}  // namespace
}  // namespace rung::training
