// What makes two processes the same run: the keys that bind it, and what it reads, by content.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/manifest.h"
#include "tests/support/expect_error.h"
#include "tests/training/resume_fixture.h"
#include "training/resume.h"
#include "training/run_inputs.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::from;
using rung::testing::ResumeTest;
using rung::testing::run_record_of;
using rung::testing::WatchedLog;

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

// The run saves them with its next checkpoint and need not read its inputs twice.
TEST_F(ResumeTest, TheStartingPointHasTheInputsThatWereCompared) {
  WatchedLog log;
  EXPECT_EQ(find_starting_point(run_.config, {}, log).inputs, std::nullopt);
  stop_after_step(2);
  EXPECT_EQ(find_starting_point(run_.config, {}, log).inputs, hash_inputs(run_.config));
  EXPECT_EQ(find_starting_point(run_.config, from(run_.checkpoint(2)), log).inputs,
            hash_inputs(run_.config));
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

TEST_F(ResumeTest, UsesACheckpointsConfigurationWhereTheFoldersIsLost) {
  stop_after_step(2);
  fs::remove(run_.config.output_dir / "config.resolved.yaml");
  run_.config.seed = 1;
  expect_error(ExitCode::kConfig, "other values of seed", [&] { run_.train(); });
  run_.config.seed = 42;
  ASSERT_EQ(run_.train(), ExitCode::kOk);
  expect_unbroken();
}

}  // namespace
}  // namespace rung::training
