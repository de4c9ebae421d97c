// Resuming where something in the folder is damaged, half written or gone.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/publish.h"
#include "tests/support/expect_error.h"
#include "tests/training/resume_fixture.h"
#include "training/checkpoint.h"
#include "training/resume.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::damage;
using rung::testing::expect_error;
using rung::testing::ResumeTest;
using rung::testing::run_record_of;
using rung::testing::WatchedLog;

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

// A manifest that vouches for less than a resume reads.
TEST_F(ResumeTest, PassesOverACheckpointWhoseManifestLacksAFile) {
  run_.config.save_steps = 1;
  stop_after_step(4);
  const fs::path manifest = run_.checkpoint(4) / "manifest.json";
  const Json whole = read_json_file(manifest);
  for (const char* name :
       {"adapter_config.json", "adapter_model.safetensors", "config.resolved.yaml", "inputs.json",
        "optimizer.safetensors", "state.json"}) {
    Json lacking = whole;
    lacking["files"] = Json::array();
    for (const Json& file : whole["files"]) {
      if (file["name"] != name) lacking["files"].push_back(file);
    }
    ASSERT_EQ(lacking["files"].size() + 1, whole["files"].size()) << name;
    std::ofstream(manifest) << lacking.dump();
    expect_error(ExitCode::kDamaged, name, [&] { verify_checkpoint(run_.checkpoint(4)); });
  }
  WatchedLog log;
  ASSERT_EQ(run_.train(log), ExitCode::kOk);
  EXPECT_TRUE(log.contains("the manifest does not list a file that is needed")) << log.text();
  EXPECT_TRUE(log.contains("(step 3)")) << log.text();
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
