// The program's surface: verbs, help, usage, exit codes, which stream gets what.
#include "tests/command/program.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rung::command {
namespace {

using rung::testing::expect_failure;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::TempDir;

const std::vector<std::string> kVerbs = {"train", "data",   "eval",    "generate",
                                         "merge", "import", "inspect", "bench"};

TEST(Program, PrintsHelpOfEveryVerbOnStandardOutput) {
  const TempDir dir;
  for (const std::string& verb : kVerbs) {
    for (const char* flag : {"--help", "-h"}) {
      const ProgramResult result = run_program(dir, {verb, flag});
      EXPECT_EQ(result.code, 0) << verb;
      EXPECT_NE(result.out.find("Examples:\n  rung " + verb), std::string::npos) << result.out;
      EXPECT_EQ(result.err, "") << verb;
    }
  }
}

TEST(Program, ListsEveryVerb) {
  const TempDir dir;
  for (const char* flag : {"--help", "-h", "help"}) {
    const ProgramResult result = run_program(dir, {flag});
    EXPECT_EQ(result.code, 0);
    for (const std::string& verb : kVerbs) {
      EXPECT_NE(result.out.find("\n  " + verb), std::string::npos) << verb;
    }
  }
}

TEST(Program, WithoutAVerbIsBadUsage) {
  const TempDir dir;
  const ProgramResult result = run_program(dir, {});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("usage: rung VERB"), std::string::npos);
}

TEST(Program, RefusesVerbsThatDoNotExist) {
  const TempDir dir;
  expect_failure(run_program(dir, {"distil"}), 2, "there is no such verb: got distil");
  expect_failure(run_program(dir, {"trian"}), 2, "did you mean train? `rung --help` lists them");
}

TEST(Program, EscapesWhatItQuotesFromTheCommandLine) {
  const TempDir dir;
  expect_failure(run_program(dir, {"\x1b[31mtrain"}), 2, "\\x1b[31mtrain");
  expect_failure(run_program(dir, {"tr\nain"}), 2, "tr\\x0aain");
  expect_failure(run_program(dir, {"train", "\x1b[31m.yaml"}), 3, "\\x1b[31m.yaml");
  expect_failure(run_program(dir, {"train", "--\x1b[31m"}), 2, "\\x1b[31m");
}

TEST(Program, PrintsItsVersion) {
  const TempDir dir;
  const ProgramResult result = run_program(dir, {"--version"});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(result.out.starts_with("rung 0.")) << result.out;
  EXPECT_NE(result.out.find("LibTorch 2."), std::string::npos) << result.out;
}

TEST(Program, ExplainsEveryKeyOfTheConfiguration) {
  const TempDir dir;
  const ProgramResult result = run_program(dir, {"help", "config"});
  EXPECT_EQ(result.code, 0);
  for (const char* key : {"base_model", "lora_r", "datasets", "memory_limit", "output_dir"}) {
    EXPECT_NE(result.out.find(key), std::string::npos) << key;
  }
}

TEST(Program, RefusesHelpTopicsThatDoNotExist) {
  const TempDir dir;
  expect_failure(run_program(dir, {"help", "me"}), 2, "there is no such help topic: got me");
  EXPECT_EQ(run_program(dir, {"help", "plan"}).out, run_program(dir, {"plan", "--help"}).out);
}

TEST(Program, RefusesWrongUsageOfEveryVerb) {
  const TempDir dir;
  for (const std::string& verb : kVerbs) {
    const std::string hint = "see `rung " + verb + " --help`";
    expect_failure(run_program(dir, {verb}), 2, hint);
    expect_failure(run_program(dir, {verb, "--no-such-option"}), 2, "no-such-option");
    expect_failure(run_program(dir, {verb, "a", "b", "c"}), 2, "an argument too many");
  }
}

TEST(Program, NamesTheNearestOption) {
  const TempDir dir;
  expect_failure(run_program(dir, {"train", "x.yaml", "--resum", "never"}), 2,
                 "did you mean --resume?");
  expect_failure(run_program(dir, {"generate", "m", "--promt=a"}), 2, "did you mean --prompt?");
}

TEST(Program, SaysHowAKeyOfTheConfigurationIsSet) {
  const TempDir dir;
  for (const char* option : {"--epochs", "--num-epochs", "--num_epochs=3", "--num_epoch"}) {
    expect_failure(run_program(dir, {"train", "x.yaml", option}), 2,
                   "keys of the configuration are set with --set num_epochs=VALUE");
  }
  // A verb without a configuration has no keys.
  const std::string message = run_program(dir, {"merge", "m", "--epochs=3"}).err;
  EXPECT_EQ(message.find("--set"), std::string::npos) << message;
}

TEST(Program, NamesTheOptionThatIsMissing) {
  const TempDir dir;
  expect_failure(run_program(dir, {"merge", "model", "--adapter", "x"}), 2, "--out is missing");
  expect_failure(run_program(dir, {"import", "x.gguf"}), 2, "out_dir is missing");
  expect_failure(run_program(dir, {"generate", "model"}), 2, "one of --prompt and --chat");
  expect_failure(run_program(dir, {"generate", "m", "--prompt", "a", "--chat", "b"}), 2,
                 "one of --prompt and --chat");
}

TEST(Program, RefusesValuesOutOfRange) {
  const TempDir dir;
  const auto generate = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "model", "--prompt", "a"});
    return run_program(dir, more);
  };
  expect_failure(generate({"--max-new-tokens", "0"}), 2, "--max-new-tokens is out of range: got 0");
  expect_failure(generate({"--max-new-tokens", "many"}), 2, "many");
  expect_failure(generate({"--temperature", "-1"}), 2, "--temperature is out of range");
  expect_failure(generate({"--temperature", "nan"}), 2, "");
  expect_failure(generate({"--top-p", "1.5"}), 2, "--top-p is out of range: got 1.5");
  expect_failure(generate({"--base", "nf8"}), 2, "expected full or nf4");
  expect_failure(run_program(dir, {"data", "x.yaml", "--show", "-1"}), 2, "--show is out of range");
}

}  // namespace
}  // namespace rung::command
