// Stopping and going on: whatever happens on the way, the run ends in the same bits.
#include "training/resume.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "base/files.h"
#include "base/manifest.h"
#include "base/publish.h"
#include "tests/support/expect_error.h"
#include "tests/training/tiny_run.h"
#include "training/checkpoint.h"
#include "training/run.h"
#include "training/run_record.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::expect_same_outcome;
using rung::testing::file_bytes;
using rung::testing::kTinySteps;
using rung::testing::metrics_of;
using rung::testing::outcome_of;
using rung::testing::run_record_of;
using rung::testing::TinyRun;
using rung::testing::WatchedLog;

const ResumeChoice kNever = {.mode = ResumeChoice::Mode::kNever};

using Outcome = std::map<std::string, std::string>;

ResumeChoice from(const fs::path& checkpoint) {
  return {.mode = ResumeChoice::Mode::kFrom, .checkpoint = checkpoint};
}

Outcome outcome(const TinyRun& run) {
  return outcome_of(run.config.output_dir, run.checkpoint(kTinySteps));
}

// The run that the others are compared with: six steps without a stop, evaluated twice on the way.
class ResumeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    TinyRun run;
    prepare(run);
    ASSERT_EQ(run.train(), ExitCode::kOk);
    unbroken_ = new Outcome(outcome(run));
  }
  static void TearDownTestSuite() { delete unbroken_; }

  ResumeTest() { prepare(run_); }

  static void prepare(TinyRun& run) {
    run.config.val_set_size = 4;
    run.config.eval_steps = 2;
  }

  // Trains until `trigger` is in the log; the run must have been stopped by that.
  void stop_at(const std::string& trigger) {
    WatchedLog log(trigger, [] { std::raise(SIGTERM); });
    ASSERT_EQ(run_.train(log), ExitCode::kStopped) << log.text();
  }

  void stop_after_step(int64_t step) {
    stop_at("step " + std::to_string(step) + "/" + std::to_string(kTinySteps));
  }

  void expect_unbroken() { expect_same_outcome(outcome(run_), *unbroken_); }

  static inline const Outcome* unbroken_ = nullptr;
  TinyRun run_;
};

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
  for (const Json& row : metrics_of(run_.config.output_dir)) EXPECT_EQ(row["kind"], "train");
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

void damage(const fs::path& file) {
  std::string bytes = file_bytes(file);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
}

TEST_F(ResumeTest, MovedInputsWithTheSameContentsGoOn) {
  stop_after_step(3);
  fs::create_directory(run_.dir / "elsewhere");
  fs::rename(run_.dir / "model", run_.dir / "elsewhere/model");
  fs::rename(run_.dir / "train.jsonl", run_.dir / "elsewhere/data.jsonl");
  run_.config.base_model = run_.dir / "elsewhere/model";
  run_.config.datasets[0].path = run_.dir / "elsewhere/data.jsonl";
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

// A file of the run, and how a refused resume names it.
struct Input {
  std::string file;
  std::string name;
};

class ChangedInput : public ResumeTest, public ::testing::WithParamInterface<Input> {};

TEST_P(ChangedInput, IsRefusedAndNamed) {
  run_.config.val_set_size = 0;
  run_.config.test_datasets = {{.path = run_.dir.write("test.jsonl", "{\"input_ids\":[1,2,3]}\n"),
                                .type = DatasetType::kTokenized}};
  stop_after_step(2);
  // White space changes nothing about what these files say, but nobody can know that of all files.
  run_.dir.write(GetParam().file, run_.dir.read(GetParam().file) + "\n");
  for (const ResumeChoice& choice : {ResumeChoice{}, from(run_.checkpoint(2))}) {
    const std::string message = error_of(ExitCode::kConfig, [&] { run_.train(choice); });
    EXPECT_NE(message.find("a run with other inputs: got other contents of " + GetParam().name),
              std::string::npos)
        << message;
    EXPECT_NE(message.find("--resume never"), std::string::npos) << message;
  }
  EXPECT_EQ(run_record_of(run_.config.output_dir)["exit_code"], 75) << "it is still that run's";
}

INSTANTIATE_TEST_SUITE_P(Files, ChangedInput,
                         ::testing::Values(Input{"train.jsonl", "datasets.0 ("},
                                           Input{"test.jsonl", "test_datasets.0 ("},
                                           Input{"model/config.json", "base_model/config.json"},
                                           Input{"model/tokenizer.json",
                                                 "base_model/tokenizer.json"},
                                           Input{"model/model.safetensors", "base_model/weights"}));

TEST_F(ResumeTest, AChangedInputOfAFinishedRunIsRefused) {
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  run_.dir.write("train.jsonl", run_.dir.read("train.jsonl") + "{\"input_ids\":[1,2,3]}\n");
  expect_error(ExitCode::kConfig, "output_dir holds a run with other inputs",
               [&] { run_.train(); });
  fs::remove_all(run_.config.output_dir / "checkpoints");
  expect_error(ExitCode::kConfig, "other contents of datasets.0", [&] { run_.train(); });
}

TEST_F(ResumeTest, ACheckpointThatDoesNotKnowItsInputsIsRefused) {
  stop_after_step(2);
  fs::remove(run_.checkpoint(2) / "inputs.json");
  fs::remove(run_.checkpoint(2) / "manifest.json");
  write_manifest(run_.checkpoint(2));
  for (const ResumeChoice& choice : {ResumeChoice{}, from(run_.checkpoint(2))}) {
    expect_error(ExitCode::kConfig, "does not say what it was trained on",
                 [&] { run_.train(choice); });
  }
}

TEST_F(ResumeTest, PassesOverADamagedCheckpoint) {
  run_.config.save_steps = 1;
  stop_after_step(4);
  damage(run_.checkpoint(4) / "optimizer.safetensors");
  WatchedLog log;
  ASSERT_EQ(run_.train(log), ExitCode::kOk);
  EXPECT_TRUE(log.contains("warning: a checkpoint is passed over: the file is damaged"))
      << log.text();
  EXPECT_TRUE(log.contains("(step 3)")) << log.text();
  expect_unbroken();
}

TEST_F(ResumeTest, PassesOverAHalfWrittenCheckpoint) {
  run_.config.save_steps = 1;
  stop_after_step(4);
  fs::remove(run_.checkpoint(4) / "manifest.json");
  WatchedLog log;
  ASSERT_EQ(run_.train(log), ExitCode::kOk);
  EXPECT_TRUE(log.contains("it was not finished")) << log.text();
  expect_unbroken();
}

TEST_F(ResumeTest, RefusesToGuessWhereAllCheckpointsAreDamaged) {
  run_.config.save_steps = 1;
  stop_after_step(4);
  damage(run_.checkpoint(3) / "state.json");
  damage(run_.checkpoint(4) / "adapter_model.safetensors");
  expect_error(ExitCode::kDamaged, "--resume never", [&] { run_.train(); });
  EXPECT_TRUE(fs::exists(run_.checkpoint(3)));
}

TEST_F(ResumeTest, ADamagedCheckpointOfALaterStepDoesNotStayForever) {
  run_.config.save_steps = 1;
  stop_after_step(4);
  damage(run_.checkpoint(4) / "state.json");
  stop_after_step(4);  // once more, from step 3
  EXPECT_NO_THROW(verify_manifest(run_.checkpoint(3)));
  EXPECT_NO_THROW(verify_manifest(run_.checkpoint(4)));
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, RemovesWhatAKilledProcessLeft) {
  stop_after_step(3);
  const fs::path left = run_.config.output_dir / "checkpoints/.step-000004.partial-1-0";
  fs::create_directory(left);
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  EXPECT_FALSE(fs::exists(left));
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

TEST_F(ResumeTest, NamesTheKeysThatDiffer) {
  stop_after_step(2);
  run_.config.learning_rate = 1e-3;
  run_.config.seed = 1;
  const std::string message = error_of(ExitCode::kConfig, [&] { run_.train(); });
  EXPECT_NE(message.find("learning_rate, seed"), std::string::npos) << message;
  EXPECT_NE(message.find("--resume never"), std::string::npos) << message;
}

TEST_F(ResumeTest, TakesOtherKeysOfSavingLoggingAndPlace) {
  stop_after_step(2);
  run_.config.save_steps = 1;
  run_.config.save_total_limit = 5;
  run_.config.logging_steps = 2;
  run_.config.memory_limit += 1 << 20;
  run_.config.gradient_checkpointing = {.mode = Recompute::Mode::kAll};
  run_.config.device = "cpu";
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

TEST_F(ResumeTest, PublishesAgainWhereTheAdapterOfAFinishedRunIsGone) {
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  fs::remove(run_.config.output_dir / "adapter_model.safetensors");
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, PublishesAgainWhereTheAdapterOfAFinishedRunIsDamaged) {
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  damage(run_.config.output_dir / "adapter_model.safetensors");
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
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
    for (const Json& row : metrics_of(run_.config.output_dir)) EXPECT_LE(row["step"], 2);
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

TEST_F(ResumeTest, UsesACheckpointsConfigurationWhereTheFoldersIsLost) {
  stop_after_step(2);
  fs::remove(run_.config.output_dir / "config.resolved.yaml");
  run_.config.seed = 1;
  expect_error(ExitCode::kConfig, "other values of seed", [&] { run_.train(); });
  run_.config.seed = 42;
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
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
  run_.config.datasets[0].path = run_.dir / "train.jsonl";
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

TEST_F(ResumeTest, ADamagedRunJsonIsWrittenAgain) {
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  for (const char* damaged : {"{\"exit_code\": ", "[0]", "{\"exit_code\": \"0\"}"}) {
    std::ofstream(run_.config.output_dir / "run.json") << damaged;
    ASSERT_EQ(run_.train(), ExitCode::kOk);
    EXPECT_EQ(run_record_of(run_.config.output_dir)["exit_code"], 0);
  }
  expect_unbroken();
}

}  // namespace
}  // namespace rung::training
