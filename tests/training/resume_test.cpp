// Stopping and going on, or starting anew: whenever it is stopped, the run ends in the same bits.
#include "training/resume.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "base/files.h"
#include "base/publish.h"
#include "tests/support/expect_error.h"
#include "tests/training/resume_fixture.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_error;
using rung::testing::kTinySteps;
using rung::testing::ResumeTest;
using rung::testing::rows_of_kind;
using rung::testing::run_record_of;
using rung::testing::WatchedLog;

const ResumeChoice kNever = {.mode = ResumeChoice::Mode::kNever};

class StoppedAfter : public ResumeTest, public ::testing::WithParamInterface<int64_t> {};

TEST_P(StoppedAfter, GoesOnToTheSameBits) {
  stop_after_step(GetParam());
  EXPECT_EQ(run_record_of(run_.config.output_dir)["exit_code"], 75);
  EXPECT_EQ(run_record_of(run_.config.output_dir)["steps"], GetParam());
  WatchedLog log;
  ASSERT_EQ(run_.train(log), ExitCode::kOk);
  EXPECT_TRUE(log.contains("(step " + std::to_string(GetParam()) + ")")) << log.text();
  expect_unbroken();
}

INSTANTIATE_TEST_SUITE_P(Step, StoppedAfter, ::testing::Range(int64_t{1}, kTinySteps));

TEST_F(ResumeTest, AStopWhileLoadingIsAStopBeforeTheFirstStep) {
  stop_at("adapter   LoRA");
  EXPECT_EQ(run_record_of(run_.config.output_dir)["steps"], 0);
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, AStopAfterTheLastStepStillEvaluates) {
  WatchedLog log("step 6/6", [] { std::raise(SIGTERM); });
  EXPECT_EQ(run_.train(log), ExitCode::kStopped);
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, AStopAfterEveryStepGivesTheSameBits) {
  for (int64_t step = 1; step < kTinySteps; ++step) stop_after_step(step);
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, CtrlCStopsAsWell) {
  WatchedLog log("step 2/6", [] { std::raise(SIGINT); });
  EXPECT_EQ(run_.train(log), ExitCode::kStopped);
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

// A signal some microseconds after a step's line comes in the middle of the next step.
TEST_F(ResumeTest, AStopBetweenMicroBatchesGivesTheSameBits) {
  run_.config.gradient_accumulation_steps = 3;
  int stops = 0;
  for (int delay = 0;; delay += 400) {
    std::jthread killer;
    WatchedLog log("/6", [&] {
      killer = std::jthread([delay] {
        std::this_thread::sleep_for(std::chrono::microseconds(delay));
        ::kill(::getpid(), SIGTERM);
      });
    });
    const ExitCode code = run_.train(log);
    if (killer.joinable()) killer.join();  // before the handler of the next run
    if (code == ExitCode::kOk) break;
    ASSERT_EQ(code, ExitCode::kStopped);
    ASSERT_LT(++stops, 100);
  }
  expect_unbroken();
}

TEST_F(ResumeTest, AStopInTheMiddleOfAnEvaluationRepeatsIt) {
  run_.config.eval_batch_size = 1;
  stop_after_step(2);  // before the evaluation of step 2
  EXPECT_TRUE(rows_of_kind(run_.config.output_dir, "eval").empty());
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, AMovedFolderGoesOn) {
  stop_after_step(3);
  fs::rename(run_.config.output_dir, run_.dir / "moved");
  run_.config.output_dir = run_.dir / "moved";
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, RepeatsAnEvaluationThatTheCheckpointDoesNotKnow) {
  WatchedLog log("step 6/6", [] { std::raise(SIGTERM); });
  ASSERT_EQ(run_.train(log), ExitCode::kStopped);
  // As if the process had been killed after the row was written and before the next checkpoint.
  std::ofstream(run_.config.output_dir / "metrics.jsonl", std::ios::app)
      << "{\"kind\":\"eval\",\"step\":6,\"loss\":1.0}\n";
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, CutsMetricsBehindTheCheckpoint) {
  run_.config.save_steps = 2;
  stop_after_step(3);
  fs::remove_all(run_.checkpoint(3));  // as if the process had been killed in step 3
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, SaysThatARunIsFinished) {
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  const auto written = fs::last_write_time(run_.config.output_dir / "run.json");
  WatchedLog log;
  EXPECT_EQ(run_.train(log), ExitCode::kOk);
  EXPECT_TRUE(log.contains("finished already")) << log.text();
  EXPECT_EQ(fs::last_write_time(run_.config.output_dir / "run.json"), written);
}

TEST_F(ResumeTest, NeverStartsAnew) {
  stop_after_step(4);
  WatchedLog log;
  ASSERT_EQ(run_.train(log, kNever), ExitCode::kOk);
  EXPECT_FALSE(log.contains("resumed")) << log.text();
  EXPECT_FALSE(fs::exists(run_.checkpoint(4)));
  expect_unbroken();
}

TEST_F(ResumeTest, NeverTakesAnotherConfiguration) {
  stop_after_step(4);
  run_.config.seed = 1;
  EXPECT_EQ(run_.train(kNever), ExitCode::kOk);
}

TEST_F(ResumeTest, NeverKeepsTheOldRunUntilTheNewOneCanStart) {
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  const std::string record = read_text_file(run_.config.output_dir / "run.json", 1 << 20);
  run_.config.datasets[0].path = run_.dir.write("broken.jsonl", "{\"input_ids\":[1,2}\n");
  expect_error(ExitCode::kConfig, "broken.jsonl:1", [&] { run_.train(kNever); });
  expect_unbroken();
  EXPECT_EQ(read_text_file(run_.config.output_dir / "run.json", 1 << 20), record);
}

TEST_F(ResumeTest, TwoProcessesCannotWriteOneFolder) {
  const DirLock lock(run_.config.output_dir);
  expect_error(ExitCode::kConfig, "another process writes to this folder", [&] { run_.train(); });
}

TEST_F(ResumeTest, AFailedStartLeavesNoRunBehind) {
  run_.config.datasets[0].path = run_.dir / "absent.jsonl";
  expect_error(ExitCode::kConfig, "absent.jsonl", [&] { run_.train(); });
  EXPECT_FALSE(fs::exists(run_.config.output_dir / "checkpoints"));
  EXPECT_FALSE(fs::exists(run_.config.output_dir / "metrics.jsonl"));
  EXPECT_FALSE(fs::exists(run_.config.output_dir / ".rung.lock"));
  run_.config.datasets[0].path = run_.dir / "train.jsonl";
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

}  // namespace
}  // namespace rung::training
