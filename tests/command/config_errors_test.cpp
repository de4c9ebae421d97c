// What a user reads about a configuration, a model or data that cannot be used.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/command/program.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_failure;
using rung::testing::ProgramFolder;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::tree;

// `rung train` must fail, and leave no more than the record of its failure.
void expect_train_failure(const ProgramFolder& dir, int code, const std::string& words) {
  expect_failure(run_program(dir, {"train", "run.yaml"}), code, words);
  for (const std::string& name : tree(dir / "out")) {
    EXPECT_EQ(name, "run.json") << "was left behind";
  }
}

TEST(ConfigErrors, NameAnUnknownKeyTheNearestOneAndTheLine) {
  const ProgramFolder dir;
  dir.write_config("lora_rr: 8\n");
  expect_train_failure(dir, 3, "lora_rr");
  const std::string message = run_program(dir, {"train", "run.yaml"}).err;
  EXPECT_NE(message.find("lora_r"), std::string::npos) << message;
  EXPECT_NE(message.find("(run.yaml:15)"), std::string::npos) << message;
}

TEST(ConfigErrors, NameAKeyThatIsSetTwice) {
  const ProgramFolder dir;
  dir.write_config("lora_r: 8\n");
  expect_train_failure(dir, 3, "lora_r is set twice; first at run.yaml:4 (run.yaml:15)");
}

TEST(ConfigErrors, AreAllShownAtOnce) {
  const ProgramFolder dir;
  dir.write_config("lora_rr: 8\nwarmup_steps: -1\nlr_scheduler: cosinus\n");
  const ProgramResult result = run_program(dir, {"train", "run.yaml"});
  EXPECT_EQ(result.code, 3);
  const std::vector<std::string> lines = result.error_lines();
  ASSERT_EQ(lines.size(), 4U) << result.err;
  EXPECT_EQ(lines[0], "error: 3 errors in the configuration");
  for (const char* where : {"(run.yaml:15)", "(run.yaml:16)", "(run.yaml:17)"}) {
    EXPECT_NE(result.err.find(where), std::string::npos) << result.err;
  }
}

TEST(ConfigErrors, NameAnOutputDirThatCannotBe) {
  const ProgramFolder dir;
  dir.write("file", "");
  fs::create_symlink("/absent/folder", dir / "link");
  for (const char* output_dir : {"file", "file/out", "link", "/proc/out"}) {
    expect_failure(
        run_program(dir, {"train", "run.yaml", "--set", std::string("output_dir=") + output_dir}),
        3, "output_dir cannot be used: the folder cannot be created: got ");
  }
}

TEST(ConfigErrors, SayWhatCudaLacks) {
  if (fs::exists("/dev/nvidiactl")) GTEST_SKIP() << "this machine has a driver";
  const ProgramFolder dir;
  // Without nvcc there is no plugin either, and that is said first.
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "device=cuda"}), 3,
                 "set device: cpu, or device: auto");
}

TEST(ConfigErrors, EscapeWhatTheyQuote) {
  const ProgramFolder dir;
  dir.write_config("\"evil\\e[31m\\nerror: forged\": 1\n");
  expect_train_failure(dir, 3, "evil\\x1b[31m\\x0aerror: forged");
}

TEST(ConfigErrors, RefuseWhatIsNoConfiguration) {
  const ProgramFolder dir;
  expect_failure(run_program(dir, {"train", "."}), 3, "not a regular file");
  expect_failure(run_program(dir, {"train", "absent.yaml"}), 3, "absent.yaml");
  expect_failure(run_program(dir, {"train", "model/model.safetensors"}), 3, "");
  dir.write("list.yaml", "- a\n- b\n");
  expect_failure(run_program(dir, {"train", "list.yaml"}), 3, "no mapping of keys to values");
  dir.write("broken.yaml", "base_model: [\n");
  expect_failure(run_program(dir, {"train", "broken.yaml"}), 3, "broken.yaml:");
  dir.write("empty.yaml", "");
  EXPECT_EQ(run_program(dir, {"train", "empty.yaml"}).code, 3);
}

TEST(ConfigErrors, RefuseAWrongOverride) {
  const ProgramFolder dir;
  for (const char* override : {"lora_r=zero", "no_such_key=1"}) {
    expect_failure(run_program(dir, {"train", "run.yaml", "--set", override}), 3, "");
  }
  for (const char* override : {"lora_r", "=1"}) {
    expect_failure(run_program(dir, {"train", "run.yaml", "--set", override}), 2,
                   "an override has no value: expected key=value");
  }
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "lora_r="}), 3,
                 "lora_r is set to nothing");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(ConfigErrors, SayHowToGetAMissingModel) {
  const ProgramFolder dir;
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "base_model=org/name"}), 3,
                 "hf download org/name");
  expect_failure(run_program(dir, {"eval", "run.yaml", "--set", "base_model=org/name", "--set",
                                   "val_set_size=1"}),
                 3, "hf download org/name");
  expect_failure(run_program(dir, {"generate", "org/name", "--prompt", "a"}), 3,
                 "hf download org/name");
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "base_model=./no/model"}), 3,
                 "there is no such folder for the base model");
}

TEST(ConfigErrors, RefuseAFolderWithoutAModel) {
  const ProgramFolder dir;
  fs::create_directory(dir / "empty");
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "base_model=empty"}), 3,
                 "empty/config.json");
}

TEST(ConfigErrors, RefuseAModelWithoutATokenizer) {
  const ProgramFolder dir;
  fs::remove(dir / "model/tokenizer.json");
  expect_train_failure(dir, 3, "tokenizer.json");
}

TEST(ConfigErrors, RefuseAbsentData) {
  const ProgramFolder dir;
  fs::remove(dir / "train.jsonl");
  expect_train_failure(dir, 3, "train.jsonl");
}

TEST(ConfigErrors, NameFileAndLineOfABadRecord) {
  const ProgramFolder dir;
  std::string rows = dir.read("train.jsonl");
  dir.write("train.jsonl", rows + "{\"messages\": [}\n");
  expect_train_failure(dir, 3, "train.jsonl:7");
  dir.write("train.jsonl", rows + "\n\n{\"text\": \"no messages\"}\n");
  expect_train_failure(dir, 3, "train.jsonl:9");
}

TEST(ConfigErrors, NameAllBadRecords) {
  const ProgramFolder dir;
  dir.write("train.jsonl", "{\"text\": \"a\"}\n" + dir.read("train.jsonl") + "{\"messages\": [}\n");
  const ProgramResult result = run_program(dir, {"train", "run.yaml"});
  EXPECT_EQ(result.code, 3);
  const std::vector<std::string> lines = result.error_lines();
  ASSERT_EQ(lines.size(), 3U) << result.err;
  EXPECT_EQ(lines[0], "error: 2 records of the data cannot be used");
  EXPECT_NE(lines[1].find("(train.jsonl:1)"), std::string::npos) << lines[1];
  EXPECT_NE(lines[2].find("(train.jsonl:8:"), std::string::npos) << lines[2];
  const std::string reason = Json::parse(dir.read("out/run.json")).at("exit_reason");
  EXPECT_EQ(reason, lines[0].substr(7) + "; " + lines[1].substr(2) + "; " + lines[2].substr(2));
}

TEST(ConfigErrors, EscapeWhatARecordHolds) {
  const ProgramFolder dir;
  dir.write("train.jsonl",
            "{\"messages\": [{\"role\": \"\\u001b[31m\\nerror: forged\", \"content\": 1}]}\n");
  expect_train_failure(dir, 3, "train.jsonl:1");
}

TEST(ConfigErrors, RefuseIdsOutsideTheVocabulary) {
  const ProgramFolder dir;
  dir.write("ids.jsonl", "{\"input_ids\": [1, 2, 99999]}\n");
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "datasets.0.path=ids.jsonl",
                                   "--set", "datasets.0.type=tokenized"}),
                 3, "ids.jsonl:1");
}

TEST(ConfigErrors, RefuseDataWithNothingToLearn) {
  const ProgramFolder dir;
  dir.write("train.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}\n");
  expect_train_failure(dir, 3, "leaves nothing to learn");
}

TEST(ConfigErrors, RefuseRecordsThatAreAllTooLong) {
  const ProgramFolder dir;
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "sequence_len=8"}), 3,
                 "6 too long");
}

TEST(ConfigErrors, RefuseATokenizerOfALargerVocabulary) {
  const ProgramFolder dir;
  nlohmann::json config = rung::testing::tiny_model_config();
  config["vocab_size"] = 200;  // the tokenizer has 260
  const std::string chats = dir.read("train.jsonl");
  dir.write("train.jsonl", chats.substr(0, chats.find('\n') + 1));
  dir.write("model/config.json", config.dump());
  rung::testing::write_random_weights(dir / "model/model.safetensors", config);
  expect_train_failure(dir, 3, "train.jsonl:1");
  expect_failure(run_program(dir, {"generate", "model", "--prompt", "a"}), 3,
                 "the tokenizer belongs to another model");
}

TEST(ConfigErrors, RefuseTargetsThatTheModelHasNot) {
  const ProgramFolder dir;
  expect_failure(
      run_program(dir, {"train", "run.yaml", "--set", "lora_target_modules=[query_key_value]"}), 3,
      "query_key_value");
}

TEST(ConfigErrors, RefuseAStepThatDoesNotFit) {
  const ProgramFolder dir;
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "memory_limit=80KiB"}), 4,
                 "expected at most 80.0 KiB (memory_limit); even ");
  EXPECT_EQ(tree(dir / "out"), (std::set<std::string>{"run.json"}));
}

TEST(ConfigErrors, SayWhereALimitThatIsTooSmallIsSet) {
  const ProgramFolder dir;
  std::string config = dir.read("run.yaml");
  dir.write("run.yaml", config.replace(config.find("256MiB"), 6, "100KiB"));
  expect_failure(run_program(dir, {"train", "run.yaml"}), 4, "(run.yaml:13)");
  expect_failure(run_program(dir, {"train", "run.yaml", "--set", "memory_limit=100KiB"}), 4,
                 "(--set memory_limit=100KiB)");
}

TEST(ConfigErrors, SayWhereALimitAboveWhatIsFreeIsSet) {
  const ProgramFolder dir;
  std::string config = dir.read("run.yaml");
  dir.write("run.yaml", config.replace(config.find("256MiB"), 6, "900TiB"));
  const ProgramResult result = run_program(dir, {"train", "run.yaml"});
  expect_failure(result, 4, "memory_limit is above what is free: got 900.0 TiB, expected at most ");
  expect_failure(result, 4, "; lower it, leave it out");
  expect_failure(result, 4, "(run.yaml:13)");
  EXPECT_FALSE(fs::exists(dir / "out")) << "the run did not begin";
}

TEST(ConfigErrors, RefuseAnOutputFolderThatIsAFile) {
  const ProgramFolder dir;
  dir.write("out", "not a folder");
  expect_failure(run_program(dir, {"train", "run.yaml"}), 3, "out");
  EXPECT_EQ(dir.read("out"), "not a folder");
}

TEST(ConfigErrors, RefuseAnEvaluationWithoutData) {
  const ProgramFolder dir;
  expect_failure(run_program(dir, {"eval", "run.yaml"}), 3,
                 "there is nothing to evaluate on; set test_datasets or val_set_size");
}

}  // namespace
}  // namespace rung::command
