#include "monitor/run_follower.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/publish.h"
#include "base/this_machine.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::monitor {
namespace {

using testing::expect_error;
using testing::TempDir;

Json step_row(int64_t step) { return {{"kind", "train"}, {"step", step}, {"loss", 1.0}}; }

// A process that trains in `dir`.
struct Trainer {
  explicit Trainer(const TempDir& dir) : lock(dir.path()), metrics(dir / "metrics.jsonl") {
    metrics.write({{"kind", "start"}, {"first_step", 0}});
  }
  void steps(int64_t first, int64_t last) {
    for (int64_t step = first; step <= last; ++step) metrics.write(step_row(step));
  }
  DirLock lock;
  MetricsWriter metrics;
};

TEST(RunFollower, ReadsWhatIsNew) {
  const TempDir dir;
  Trainer run(dir);
  RunFollower follower(dir.path());
  EXPECT_TRUE(follower.poll());
  EXPECT_EQ(follower.state(), RunState::kRunning);
  EXPECT_EQ(follower.history().steps.size(), 0u);
  EXPECT_FALSE(follower.poll());
  run.steps(1, 3);
  EXPECT_TRUE(follower.poll());
  EXPECT_EQ(follower.history().steps.size(), 3u);
  run.steps(4, 4);
  EXPECT_TRUE(follower.poll());
  EXPECT_EQ(follower.history().steps.back().step, 4);
  EXPECT_EQ(follower.history().starts.size(), 1u);
}

TEST(RunFollower, WaitsForTheEndOfALine) {
  const TempDir dir;
  const std::string line = step_row(1).dump();
  dir.write("metrics.jsonl", line.substr(0, 10));
  RunFollower follower(dir.path());
  follower.poll();
  EXPECT_EQ(follower.history().steps.size(), 0u);
  dir.write("metrics.jsonl", line);
  EXPECT_FALSE(follower.poll());
  dir.write("metrics.jsonl", line + "\n");
  EXPECT_TRUE(follower.poll());
  EXPECT_EQ(follower.history().steps.size(), 1u);
}

TEST(RunFollower, BeginsAgainWhereAResumeCutTheRecord) {
  const TempDir dir;
  RunFollower follower(dir.path());
  {
    Trainer run(dir);
    run.steps(1, 9);
    follower.poll();
    EXPECT_EQ(follower.history().steps.size(), 9u);
  }
  truncate_metrics(dir / "metrics.jsonl", {.step = 4, .evaluated_step = 4});
  Trainer run(dir);
  run.steps(5, 20);  // longer than before: the length does not tell
  follower.poll();
  EXPECT_EQ(follower.history().steps.size(), 20u);
  EXPECT_EQ(follower.history().starts.size(), 2u);
}

TEST(RunFollower, TellsTheStatesOfARun) {
  const TempDir dir;
  RunFollower follower(dir.path());
  {
    const DirLock lock(dir.path());
    follower.poll();
    EXPECT_EQ(follower.state(), RunState::kStarting);
    dir.write("metrics.jsonl", step_row(1).dump() + "\n");
    follower.poll();
    EXPECT_EQ(follower.state(), RunState::kRunning);
  }
  follower.poll();
  EXPECT_EQ(follower.state(), RunState::kKilled);
  dir.write("run.json", R"({"exit_code": 75, "exit_reason": "stopped"})");
  EXPECT_TRUE(follower.poll());
  EXPECT_EQ(follower.state(), RunState::kEnded);
  EXPECT_EQ(follower.history().outcome->exit_code, 75);
  const DirLock lock(dir.path());  // resumed: that outcome is history
  EXPECT_TRUE(follower.poll());
  EXPECT_EQ(follower.state(), RunState::kRunning);
  EXPECT_FALSE(follower.history().outcome);
}

Json start_of(int64_t pid, const std::string& host) {
  return {{"kind", "start"}, {"first_step", 0}, {"pid", pid}, {"host", host}};
}

TEST(RunFollower, AResumeThatLoadsIsStarting) {
  const TempDir dir;
  dir.write("metrics.jsonl", start_of(4711, "node7").dump() + "\n" + step_row(1).dump() + "\n");
  const DirLock lock(dir.path());
  RunFollower follower(dir.path());
  for (const char* other : {"pid 4712 on node7\n", "pid 4711 on node8\n"}) {
    dir.write(".rung.lock", other);
    follower.poll();
    EXPECT_EQ(follower.state(), RunState::kStarting) << other;
  }
  for (const char* text : {"pid 4711 on node7\n", "", "something else\n"}) {
    dir.write(".rung.lock", text);
    follower.poll();
    EXPECT_EQ(follower.state(), RunState::kRunning) << text;
  }
}

TEST(RunFollower, ARunOnAMachineWhoseLockIsNotSeenMayGoOn) {
  const TempDir dir;
  const auto state = [&](const std::string& host, double age, double seconds) {
    Json step = step_row(1);
    step["time"] = seconds_since_1970() - age;
    step["seconds"] = seconds;
    dir.write("metrics.jsonl", start_of(4711, host).dump() + "\n" + step.dump() + "\n");
    RunFollower follower(dir.path());
    follower.poll();
    return follower.state();
  };
  EXPECT_EQ(state("elsewhere", 300, 1), RunState::kUnseen);
  EXPECT_EQ(state("elsewhere", 900, 1), RunState::kKilled);
  EXPECT_EQ(state("elsewhere", 900, 60), RunState::kUnseen);
  EXPECT_EQ(state("elsewhere", 1300, 60), RunState::kKilled);
  EXPECT_EQ(state(host_name(), 1, 1), RunState::kKilled);
}

TEST(RunFollower, ReadsALineAnewThatWasCutOff) {
  const TempDir dir;
  const std::string first = step_row(1).dump() + "\n";
  dir.write("metrics.jsonl", first + "{\"kind\": \"tra");
  RunFollower follower(dir.path());
  follower.poll();
  dir.write("metrics.jsonl", first + step_row(2).dump() + "\n");  // as a resume does
  follower.poll();
  EXPECT_EQ(follower.history().steps.size(), 2u);
}

TEST(RunFollower, RefusesAFolderWithoutARecord) {
  const TempDir dir;
  RunFollower follower(dir.path());
  expect_error(ExitCode::kConfig, "there is no run in the folder", [&] { follower.poll(); });
}

TEST(RunFollower, CountsLinesForItsMessages) {
  const TempDir dir;
  Trainer run(dir);
  RunFollower follower(dir.path());
  follower.poll();
  run.steps(1, 2);
  run.metrics.write(Json::array());
  expect_error(ExitCode::kDamaged, "metrics.jsonl:4", [&] { follower.poll(); });
}

}  // namespace
}  // namespace rung::monitor
