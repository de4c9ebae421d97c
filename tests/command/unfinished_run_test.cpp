// What the verbs that take an adapter say about the folder of a run that has not published one.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/command/program.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_failure;
using rung::testing::Program;
using rung::testing::ProgramFolder;
using rung::testing::run_program;

// Every verb that reads the adapter in `out` must fail with `words`.
void expect_refused(const ProgramFolder& dir, const std::string& words) {
  const std::vector<std::vector<std::string>> commands = {
      {"merge", "model", "--adapter", "out", "--out", "merged"},
      {"generate", "model", "--adapter", "out", "--prompt", "a"},
      {"eval", "run.yaml", "--adapter", "out", "--set", "val_set_size=1"},
      {"inspect", "out"},
      {"train", "run.yaml", "--set", "lora_model_dir=out", "--set", "output_dir=next"}};
  for (const std::vector<std::string>& command : commands) {
    expect_failure(run_program(dir, command), 3, words);
  }
}

TEST(UnfinishedRun, NamesTheCheckpointThatCouldBeUsed) {
  const ProgramFolder dir;
  dir.write_config("save_steps: 1\n");
  Program program(dir, {"train", "run.yaml", "--set", "max_steps=100000"});
  ASSERT_TRUE(program.wait_for("step 3/"));
  program.signal(SIGTERM);
  ASSERT_EQ(program.wait().code, 75);
  const std::vector<std::string> all = [&] {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir / "out/checkpoints")) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }();
  const std::string newest = "out/checkpoints/" + all.back();
  expect_refused(dir,
                 "the run in this folder is not finished, it has no adapter yet (it ended with: "
                 "stopped on request, checkpoint saved); go on with `rung train CONFIG`, or use "
                 "its newest checkpoint: " +
                     newest + " (out)");
  // The advice holds.
  EXPECT_EQ(run_program(dir, {"merge", "model", "--adapter", newest, "--out", "merged"}).code, 0);
  EXPECT_EQ(run_program(dir, {"inspect", newest}).code, 0);
  // A damaged one is not advised.
  dir.write(newest + "/state.json", "{}");
  expect_refused(dir, "its newest checkpoint: out/checkpoints/" + all[all.size() - 2]);
}

TEST(UnfinishedRun, SaysWhyItDidNotBegin) {
  const ProgramFolder dir;
  const std::string chats = dir.read("train.jsonl");
  dir.write("train.jsonl", "{\n");
  ASSERT_EQ(run_program(dir, {"train", "run.yaml"}).code, 3);
  dir.write("train.jsonl", chats);
  for (const char* words : {"(it ended with: malformed JSON", "it has no checkpoint either"}) {
    expect_refused(dir, words);
  }
}

TEST(UnfinishedRun, IsNoneOnceTheAdapterIsThere) {
  const ProgramFolder dir;
  ASSERT_EQ(run_program(dir, {"train", "run.yaml"}).code, 0);
  EXPECT_EQ(run_program(dir, {"inspect", "out"}).code, 0);
  EXPECT_EQ(run_program(dir, {"merge", "model", "--adapter", "out", "--out", "merged"}).code, 0);
}

}  // namespace
}  // namespace rung::command
