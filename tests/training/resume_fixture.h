// The run that resumes are compared with: six steps without a stop, evaluated twice on the way.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "tests/training/tiny_run.h"
#include "training/resume.h"

namespace rung::testing {

using Outcome = std::map<std::string, std::string>;

// --resume DIR
inline training::ResumeChoice from(const std::filesystem::path& checkpoint) {
  return {.mode = training::ResumeChoice::Mode::kFrom, .checkpoint = checkpoint};
}

// Flips a bit in the middle of `file`.
inline void damage(const std::filesystem::path& file) {
  std::string bytes = file_bytes(file);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
}

// Every test has a run of its own that must end in the bits of the unbroken one.
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

  static Outcome outcome(const TinyRun& run) {
    return outcome_of(run.config.output_dir, run.checkpoint(kTinySteps));
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

}  // namespace rung::testing
