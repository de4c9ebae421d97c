// Damaged and lying files of strangers: exit code 6 (or 3), one line, and nothing half-written.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/command/program.h"
#include "tests/format/tiny_gguf.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_failure;
using rung::testing::ProgramFolder;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::tiny_gguf;
using rung::testing::tree;

const std::string kWeights = "model/model.safetensors";

// Every verb that reads a model must refuse it in the same way.
void expect_refused(const ProgramFolder& dir, int code, const std::string& words) {
  const auto before = tree(dir.path());
  expect_failure(run_program(dir, {"inspect", "model"}), code, words);
  expect_failure(run_program(dir, {"generate", "model", "--prompt", "a"}), code, words);
  EXPECT_EQ(tree(dir.path()), before) << "something was left behind";
  expect_failure(run_program(dir, {"train", "run.yaml"}), code, words);
  EXPECT_EQ(tree(dir / "out"), (std::set<std::string>{"run.json"}));
}

TEST(DamagedModel, TruncatedWeightsAreRefused) {
  const ProgramFolder dir;
  const std::string weights = dir.read(kWeights);
  dir.write(kWeights, weights.substr(0, weights.size() / 2));
  expect_refused(dir, 6, "model.safetensors");
}

TEST(DamagedModel, EmptyWeightsAreRefused) {
  const ProgramFolder dir;
  dir.write(kWeights, "");
  expect_refused(dir, 6, "model.safetensors");
}

TEST(DamagedModel, AHeaderThatClaimsMoreThanTheFileIsRefused) {
  const ProgramFolder dir;
  std::string weights = dir.read(kWeights);
  weights[5] = '\x7f';  // the length of the header: terabytes
  dir.write(kWeights, weights);
  expect_refused(dir, 6, "model.safetensors");
}

TEST(DamagedModel, AHeaderThatIsNoJsonIsRefused) {
  const ProgramFolder dir;
  std::string weights = dir.read(kWeights);
  weights[8] = '[';
  dir.write(kWeights, weights);
  expect_refused(dir, 6, "model.safetensors");
}

TEST(DamagedModel, AShapeThatConfigJsonContradictsIsRefused) {
  const ProgramFolder dir;
  nlohmann::json config = rung::testing::tiny_model_config();
  config["intermediate_size"] = 72;
  dir.write("model/config.json", config.dump());
  const std::string message = run_program(dir, {"inspect", "model"}).err;
  EXPECT_NE(message.find("72"), std::string::npos) << message;
  expect_refused(dir, 6, "proj.weight");
}

TEST(DamagedModel, AMissingTensorIsNamed) {
  const ProgramFolder dir;
  nlohmann::json config = rung::testing::tiny_model_config();
  config["num_hidden_layers"] = 3;
  dir.write("model/config.json", config.dump());
  expect_refused(dir, 6, "model.layers.2.");
}

TEST(DamagedModel, AnEscapeInATensorNameDoesNotReachTheTerminal) {
  const ProgramFolder dir;
  // JSON may hide the byte; the length of the header stays the same.
  std::string weights = dir.read(kWeights);
  const std::string name = "model.layers.1.self_attn.q_proj.weight";
  const std::string evil = "model.layers.1.\\u001b[31m\\nerror: f.wei";
  ASSERT_EQ(name.size() + 1, evil.size());
  const size_t at = weights.find(name);
  ASSERT_NE(at, std::string::npos);
  // One byte longer than the name: taken from the padding behind the header, or from its length.
  const size_t header_end = 8 + static_cast<unsigned char>(weights[8 - 8]) +
                            256 * static_cast<size_t>(static_cast<unsigned char>(weights[1]));
  ASSERT_EQ(weights[header_end - 1], ' ') << "the header has no padding to take a byte from";
  weights.erase(header_end - 1, 1);
  weights.replace(at, name.size(), evil);
  dir.write(kWeights, weights);
  const ProgramResult named = run_program(dir, {"inspect", kWeights});
  EXPECT_EQ(named.code, 0) << named.err;
  EXPECT_NE(named.out.find("\\x1b[31m\\x0aerror: f"), std::string::npos) << named.out;
  EXPECT_EQ(named.out.find('\x1b'), std::string::npos);
  expect_failure(run_program(dir, {"inspect", "model"}), 6, "");
}

TEST(DamagedModel, AConfigThatIsNoJsonIsRefused) {
  const ProgramFolder dir;
  dir.write("model/config.json", "{\"vocab_size\": ");
  expect_refused(dir, 6, "config.json:1");
}

TEST(DamagedModel, AnArchitectureThatIsUnknownIsNamed) {
  const ProgramFolder dir;
  nlohmann::json config = rung::testing::tiny_model_config();
  config["architectures"] = {"Evil\x1b[31mForCausalLM"};
  config["model_type"] = "evil\x1b[31m";
  dir.write("model/config.json", config.dump());
  expect_refused(dir, 3, "Evil\\u001b[31m");
}

TEST(DamagedModel, ADamagedTokenizerIsRefused) {
  const ProgramFolder dir;
  const std::string tokenizer = dir.read("model/tokenizer.json");
  dir.write("model/tokenizer.json", tokenizer.substr(0, tokenizer.size() / 2));
  expect_failure(run_program(dir, {"generate", "model", "--prompt", "a"}), 6, "tokenizer.json");
  expect_failure(run_program(dir, {"data", "run.yaml"}), 6, "tokenizer.json");
}

TEST(DamagedModel, ABrokenChatTemplateIsRefused) {
  const ProgramFolder dir;
  dir.write("model/tokenizer_config.json",
            R"({"bos_token":"<s>","eos_token":"</s>","chat_template":"{% for x %}"})");
  expect_failure(run_program(dir, {"data", "run.yaml"}), 3, "tokenizer_config.json");
}

TEST(DamagedModel, ATemplateThatNeverEndsIsStopped) {
  const ProgramFolder dir;
  dir.write(
      "model/tokenizer_config.json",
      R"({"bos_token":"<s>","eos_token":"</s>","chat_template":)"
      R"("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"})");
  EXPECT_EQ(run_program(dir, {"data", "run.yaml"}).code, 3);
}

struct AdapterFolder : ProgramFolder {
  AdapterFolder() { EXPECT_EQ(run_program(*this, {"train", "run.yaml"}).code, 0); }
};

TEST(DamagedAdapter, IsRefusedByEveryVerb) {
  const AdapterFolder dir;
  const std::string weights = dir.read("out/adapter_model.safetensors");
  dir.write("out/adapter_model.safetensors", weights.substr(0, weights.size() - 100));
  const std::string words = "adapter_model.safetensors";
  expect_failure(run_program(dir, {"inspect", "out"}), 6, words);
  expect_failure(run_program(dir, {"generate", "model", "--adapter", "out", "--prompt", "a"}), 6,
                 words);
  expect_failure(
      run_program(dir, {"eval", "run.yaml", "--adapter", "out", "--set", "val_set_size=1"}), 6,
      words);
  expect_failure(run_program(dir, {"merge", "model", "--adapter", "out", "--out", "merged"}), 6,
                 words);
  EXPECT_FALSE(fs::exists(dir / "merged"));
}

TEST(DamagedAdapter, OfAnotherModelIsRefused) {
  const AdapterFolder dir;
  nlohmann::json config = rung::testing::tiny_model_config();
  config["intermediate_size"] = 72;
  dir.write("model/config.json", config.dump());
  rung::testing::write_random_weights(dir / kWeights, config);
  const std::string words = "use an adapter of this base model";
  expect_failure(run_program(dir, {"generate", "model", "--adapter", "out", "--prompt", "a"}), 3,
                 words);
  const auto before = tree(dir.path());
  expect_failure(run_program(dir, {"merge", "model", "--adapter", "out", "--out", "merged"}), 3,
                 "");
  EXPECT_EQ(tree(dir.path()), before) << "something was left behind";
}

TEST(DamagedAdapter, AnAbsentOneIsNamed) {
  const ProgramFolder dir;
  expect_failure(run_program(dir, {"generate", "model", "--adapter", "no", "--prompt", "a"}), 3,
                 "no/adapter_config.json");
}

TEST(DamagedCheckpoint, IsFoundByInspect) {
  const AdapterFolder dir;
  const std::string file = "out/checkpoints/step-000004/optimizer.safetensors";
  std::string bytes = dir.read(file);
  bytes[bytes.size() / 2] ^= 1;
  dir.write(file, bytes);
  expect_failure(run_program(dir, {"inspect", "out/checkpoints/step-000004"}), 6,
                 "its SHA-256 is not the manifest's");
}

TEST(DamagedGguf, LeavesNothingBehind) {
  const ProgramFolder dir;
  const std::string gguf = tiny_gguf().build();
  dir.write("short.gguf", gguf.substr(0, gguf.size() - 1000));
  dir.write("noise.gguf", gguf.substr(0, 100) + std::string(4000, '\xff'));
  const auto before = tree(dir.path());
  expect_failure(run_program(dir, {"import", "short.gguf", "made"}), 6, "short.gguf");
  expect_failure(run_program(dir, {"import", "noise.gguf", "made"}), 6, "noise.gguf");
  expect_failure(run_program(dir, {"import", "absent.gguf", "made"}), 3, "absent.gguf");
  EXPECT_EQ(tree(dir.path()), before);
  expect_failure(run_program(dir, {"inspect", "short.gguf"}), 6, "short.gguf");
}

TEST(OutputFolder, ThatIsNotEmptyIsRefusedAndKept) {
  const AdapterFolder dir;
  dir.write("tiny.gguf", tiny_gguf().build());
  dir.write("taken/notes.txt", "mine");
  const auto before = tree(dir.path());
  expect_failure(run_program(dir, {"import", "tiny.gguf", "taken"}), 3, "taken");
  expect_failure(run_program(dir, {"merge", "model", "--adapter", "out", "--out", "taken"}), 3,
                 "taken");
  expect_failure(run_program(dir, {"merge", "model", "--adapter", "out", "--out", "model"}), 3,
                 "model");
  EXPECT_EQ(tree(dir.path()), before);
  EXPECT_EQ(dir.read("taken/notes.txt"), "mine");
}

}  // namespace
}  // namespace rung::command
