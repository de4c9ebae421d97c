// The keys that trade time for memory, and compute_dtype, over whole runs.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "tests/support/expect_error.h"
#include "tests/training/tiny_run.h"

namespace rung::training {
namespace {

using rung::testing::expect_error;
using rung::testing::expect_same_outcome;
using rung::testing::kTinySteps;
using rung::testing::metrics_of;
using rung::testing::outcome_of;
using rung::testing::run_record_of;
using rung::testing::TinyRun;
using rung::testing::WatchedLog;

const ResumeChoice kAfresh = {.mode = ResumeChoice::Mode::kNever};

int64_t peak_of(const TinyRun& run, const std::string& which) {
  return run_record_of(run.config.output_dir)["memory"][which];
}

// Trains as it is and with `change`; expects the same bits, and `line` in the plan.
void expect_same_run(TinyRun& run, void (*change)(RunConfig&), const std::string& line) {
  run.train(kAfresh);
  const auto expected = outcome_of(run.config.output_dir, run.checkpoint(kTinySteps));
  change(run.config);
  WatchedLog log;
  run.train(log, kAfresh);
  expect_same_outcome(outcome_of(run.config.output_dir, run.checkpoint(kTinySteps)), expected);
  EXPECT_TRUE(log.contains(line)) << log.text();
  EXPECT_LE(peak_of(run, "measured_peak"), peak_of(run, "planned_peak"));
}

TEST(MemoryKeys, ActivationOffloadingGivesTheSameBits) {
  TinyRun run;
  run.config.gradient_checkpointing = {.mode = Recompute::Mode::kAll};
  expect_same_run(
      run, [](RunConfig& config) { config.activation_offloading = true; },
      "block inputs on the host");
}

TEST(MemoryKeys, EmbeddingOffloadingIsRefusedWhereTheEmbeddingIsTheHead) {
  TinyRun run;
  run.config.embedding_offloading = true;
  expect_error(ExitCode::kConfig, "embedding_offloading saves nothing", [&] { run.train(); });
}

TEST(MemoryKeys, LayerOffloadingLeavesBlocksThatFitWhereTheyAre) {
  TinyRun run;
  run.config.adapter = AdapterKind::kQlora;
  run.config.load_in_4bit = true;
  run.train(kAfresh);
  const auto expected = outcome_of(run.config.output_dir, run.checkpoint(kTinySteps));
  run.config.layer_offloading = true;
  WatchedLog log;
  run.train(log, kAfresh);
  expect_same_outcome(outcome_of(run.config.output_dir, run.checkpoint(kTinySteps)), expected);
  EXPECT_FALSE(log.contains("streamed")) << log.text();
}

// Trains to the end; stops after step 3 and goes on; expects the same bits.
void expect_resumes(TinyRun& run) {
  run.train(kAfresh);
  const auto expected = outcome_of(run.config.output_dir, run.checkpoint(kTinySteps));
  std::filesystem::remove_all(run.config.output_dir);
  WatchedLog stopping("step 3/6", [] { std::raise(SIGTERM); });
  EXPECT_EQ(run.train(stopping), ExitCode::kStopped) << stopping.text();
  EXPECT_EQ(run.train(), ExitCode::kOk);
  expect_same_outcome(outcome_of(run.config.output_dir, run.checkpoint(kTinySteps)), expected);
}

TEST(MemoryKeys, Fp16WritesItsLossScaleAndResumesWithIt) {
  TinyRun run;
  run.config.learning_rate = 1e-3;
  run.train(kAfresh);
  const double in_fp32 = metrics_of(run.config.output_dir).back()["loss"];
  run.config.compute_dtype = ComputeDtype::kFp16;
  run.train(kAfresh);
  const auto rows = metrics_of(run.config.output_dir);
  ASSERT_FALSE(rows.empty());
  EXPECT_GE(rows.back()["loss_scale"].get<double>(), 1.0);
  EXPECT_NEAR(rows.back()["loss"].get<double>(), in_fp32, 1e-3 * in_fp32);
  const Json state = read_json_file(run.checkpoint(kTinySteps) / "state.json");
  EXPECT_EQ(state["loss_scale"], rows.back()["loss_scale"]);
  EXPECT_LE(state["loss_scale_clean_steps"], kTinySteps);
  expect_resumes(run);
}

TEST(MemoryKeys, MomentsIn8BitsAreSavedAndResumed) {
  TinyRun run;
  run.train(kAfresh);
  const int64_t in_32_bits = peak_of(run, "planned_peak");
  run.config.optimizer = "adamw_8bit";
  expect_resumes(run);
  EXPECT_LT(peak_of(run, "planned_peak"), in_32_bits);
}

}  // namespace
}  // namespace rung::training
