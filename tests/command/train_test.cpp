// `rung train` as a process: streams, signals, a killed process, two at once.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "tests/command/program.h"
#include "tests/support/file_size_limit.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_failure;
using rung::testing::Program;
using rung::testing::ProgramFolder;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::tree;

// More steps than a test waits for; saved often.
constexpr const char* kLong =
    "sample_packing: true\ngradient_accumulation_steps: 3\nlora_dropout: 0.1\nsave_steps: 5\n";

std::vector<std::string> train(const std::string& steps, const std::string& out = "out") {
  return {"train", "run.yaml", "--set", "max_steps=" + steps, "--set", "output_dir=" + out};
}

TEST(TrainProgram, PutsTheResultOnStandardOutputAndTheRestOnStandardError) {
  const ProgramFolder dir;
  const ProgramResult result = run_program(dir, {"train", "run.yaml"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "adapter: out\n");
  for (const char* words : {"model     model", "plan      4 steps", "step 1/4", "step 4/4"}) {
    EXPECT_NE(result.err.find(words), std::string::npos) << words << "\n" << result.err;
  }
}

TEST(TrainProgram, SaysThatItIsFinished) {
  const ProgramFolder dir;
  run_program(dir, {"train", "run.yaml"});
  const ProgramResult again = run_program(dir, {"train", "run.yaml"});
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.err.find("finished already"), std::string::npos) << again.err;
}

TEST(TrainProgram, LeavesAReport) {
  const ProgramFolder dir;
  const ProgramResult result = run_program(dir, {"train", "run.yaml"});
  EXPECT_NE(result.err.find("report    out/report.html\n"), std::string::npos) << result.err;
  const std::string page = dir.read("out/report.html");
  EXPECT_NE(page.find("<h1>out "), std::string::npos);
  EXPECT_EQ(run_program(dir, {"report", "out", "--out", "again.html"}).code, 0);
  EXPECT_EQ(dir.read("again.html"), page);
}

TEST(TrainProgram, AReportThatCannotBeWrittenIsAWarning) {
  const ProgramFolder dir;
  dir.write("out/report.html/in the way", "");
  const ProgramResult result = run_program(dir, {"train", "run.yaml"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "adapter: out\n");
  EXPECT_NE(result.err.find("warning: the report cannot be written"), std::string::npos)
      << result.err;
}

TEST(TrainProgram, LeavesTheReportOfAnotherProcessAlone) {
  const ProgramFolder dir;
  run_program(dir, {"train", "run.yaml"});
  fs::remove(dir / "out/report.html");
  EXPECT_EQ(run_program(dir, {"train", "run.yaml", "--set", "lora_r=8"}).code, 3);
  EXPECT_EQ(run_program(dir, {"train", "run.yaml"}).code, 0);  // finished already
  EXPECT_FALSE(fs::exists(dir / "out/report.html"));
}

TEST(TrainProgram, NotesOtherSpellings) {
  const ProgramFolder dir;
  dir.write_config("per_device_train_batch_size: 2\n");
  const ProgramResult result = run_program(dir, {"train", "run.yaml"});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.err.find("note: per_device_train_batch_size"), std::string::npos) << result.err;
}

TEST(TrainProgram, StopsOnSigtermAndGoesOn) {
  const ProgramFolder dir;
  dir.write_config(kLong);
  Program first(dir, train("2000"));
  ASSERT_TRUE(first.wait_for("step 7/"));
  first.signal(SIGTERM);
  const ProgramResult stopped = first.wait();
  EXPECT_EQ(stopped.code, 75) << stopped.err;
  EXPECT_NE(stopped.out.find("run the same command to go on"), std::string::npos) << stopped.out;
  EXPECT_EQ(read_json_file(dir / "out/run.json")["exit_code"], 75);
  EXPECT_NE(dir.read("out/report.html").find("stopped, can go on"), std::string::npos);
  Program second(dir, train("2000"));
  ASSERT_TRUE(second.wait_for("resumed   from out/checkpoints/step-"));
  second.signal(SIGINT);
  EXPECT_EQ(second.wait().code, 75);
}

TEST(TrainProgram, ASecondCtrlCEndsItAtOnce) {
  const ProgramFolder dir;
  dir.write_config(kLong);
  Program program(dir, train("100000"));
  ASSERT_TRUE(program.wait_for("step 1/"));
  // Stopped, so that both signals come before it can end by itself.
  program.signal(SIGSTOP);
  program.signal(SIGTERM);
  program.signal(SIGINT);
  program.signal(SIGCONT);
  const int code = program.wait().code;
  EXPECT_TRUE(code == 130 || code == 75) << code;  // the kernel may deliver SIGINT first
}

TEST(TrainProgram, AKilledRunEndsInTheSameBits) {
  const ProgramFolder dir;
  dir.write_config(kLong);
  ASSERT_EQ(run_program(dir, train("60", "unbroken")).code, 0);
  int kills = 0;
  for (const char* words : {"step 3/", "step 14/", "step 31/", "step 44/"}) {
    Program program(dir, train("60"));
    if (!program.wait_for(words)) break;
    program.signal(SIGKILL);
    kills += program.wait().code == 128 + SIGKILL ? 1 : 0;
  }
  EXPECT_GE(kills, 1);
  ASSERT_EQ(run_program(dir, train("60")).code, 0);
  EXPECT_TRUE(dir.read("out/adapter_model.safetensors") ==
              dir.read("unbroken/adapter_model.safetensors"));
  EXPECT_EQ(tree(dir / "out"), tree(dir / "unbroken"));
}

TEST(TrainProgram, TwoProcessesCannotWriteOneFolder) {
  const ProgramFolder dir;
  dir.write_config(kLong);
  Program first(dir, train("100000"));
  ASSERT_TRUE(first.wait_for("step 1/"));
  const rung::testing::TempDir elsewhere;  // of the second one's output
  ProgramResult second;
  {
    std::vector<std::string> arguments = train("100000", (dir / "out").string());
    arguments[1] = (dir / "run.yaml").string();
    arguments.insert(arguments.end(), {"--set", "base_model=" + (dir / "model").string(), "--set",
                                       "datasets.0.path=" + (dir / "train.jsonl").string()});
    second = run_program(elsewhere, arguments);
  }
  expect_failure(second, 3, "another process writes to this folder: got pid ");
}

TEST(TrainProgram, RefusesToGoOnWithAnotherConfiguration) {
  const ProgramFolder dir;
  run_program(dir, {"train", "run.yaml"});
  const ProgramResult result =
      run_program(dir, {"train", "run.yaml", "--set", "lora_r=8", "--set", "seed=1"});
  expect_failure(result, 3, "other values of lora_r, seed");
  EXPECT_NE(result.err.find("--resume never"), std::string::npos);
}

TEST(TrainProgram, RefusesToGoOnOverOtherData) {
  const ProgramFolder dir;
  run_program(dir, {"train", "run.yaml"});
  const std::string chats = dir.read("train.jsonl");
  dir.write("train.jsonl", chats.substr(chats.find('\n') + 1));
  expect_failure(run_program(dir, {"train", "run.yaml"}), 3,
                 "output_dir holds a run with other inputs: got other contents of datasets.0 "
                 "(train.jsonl)");
  dir.write("train.jsonl", chats);
  EXPECT_EQ(run_program(dir, {"train", "run.yaml"}).code, 0);
}

TEST(TrainProgram, RefusesToGoOnWithAnotherChatTemplate) {
  const ProgramFolder dir;
  run_program(dir, {"train", "run.yaml"});
  dir.write("model/chat_template.jinja", rung::testing::kTinyChatTemplate + std::string("\n "));
  expect_failure(run_program(dir, {"train", "run.yaml"}), 3, "other contents of chat_template");
}

TEST(TrainProgram, StartsAnewWhereAskedTo) {
  const ProgramFolder dir;
  run_program(dir, {"train", "run.yaml"});
  EXPECT_EQ(run_program(dir, {"train", "run.yaml", "--set", "lora_r=8", "--resume", "never"}).code,
            0);
}

TEST(TrainProgram, GoesOnAfterItsFolderWasMoved) {
  const ProgramFolder dir;
  dir.write_config(kLong);
  Program first(dir, train("2000"));
  ASSERT_TRUE(first.wait_for("step 7/"));
  first.signal(SIGTERM);
  ASSERT_EQ(first.wait().code, 75);
  fs::rename(dir / "out", dir / "moved");
  Program second(dir, train("2000", "moved"));
  EXPECT_TRUE(second.wait_for("resumed   from moved/checkpoints/step-"));
}

TEST(TrainProgram, AFullDiskIsSaidAndTheRunGoesOnLater) {
  const ProgramFolder dir;
  {
    const rung::testing::FileSizeLimit limit(10'000);  // bytes: less than an adapter
    expect_failure(run_program(dir, {"train", "run.yaml"}), 6, "File too large");
  }
  EXPECT_EQ(read_json_file(dir / "out/run.json")["exit_code"], 6);
  EXPECT_EQ(tree(dir / "out"), (std::set<std::string>{"checkpoints/", "config.resolved.yaml",
                                                      "metrics.jsonl", "run.json"}));
  EXPECT_EQ(run_program(dir, {"train", "run.yaml"}).code, 0);
}

}  // namespace
}  // namespace rung::command
