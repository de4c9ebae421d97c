// A model folder with a tokenizer.model instead of a tokenizer.json, in every verb that reads it.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/files.h"
#include "tests/command/program.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_failure;
using rung::testing::ProgramFolder;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::tree;

constexpr int kVocab = 709;  // of the golden model "bpe", added tokens included
constexpr int kEndOfTurn = 701;

const fs::path kTokenizer = fs::path(RUNG_TEST_DATA) / "golden" / "sentencepiece" / "bpe";

// A folder whose tiny model has the golden tokenizer.model, and an adapter of it in `out`.
class TokenizerModel : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new ProgramFolder;
    fs::remove(*dir_ / "model/tokenizer.json");
    fs::copy_file(kTokenizer / "tokenizer.model", *dir_ / "model/tokenizer.model");
    Json tokenizer = read_json_file(kTokenizer / "tokenizer_config.json");
    tokenizer["chat_template"] = rung::testing::kTinyChatTemplate;
    dir_->write("model/tokenizer_config.json", tokenizer.dump());
    nlohmann::json config = rung::testing::tiny_model_config();
    config["vocab_size"] = kVocab;
    config["eos_token_id"] = kEndOfTurn;
    dir_->write("model/config.json", config.dump());
    rung::testing::write_random_weights(*dir_ / "model/model.safetensors", config);
    dir_->write_config("test_datasets: [{path: train.jsonl, type: chat_template}]\n");
    output({"train", "run.yaml"});
  }
  static void TearDownTestSuite() { delete dir_; }

  // The output of a run that must succeed.
  static std::string output(std::vector<std::string> arguments) {
    const ProgramResult result = run_program(*dir_, std::move(arguments));
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  }

  static std::string generate(const std::string& model) {
    return output({"generate", model, "--dtype", "fp32", "--max-new-tokens", "12", "--prompt",
                   "Is it?", "--json"});
  }

  static inline ProgramFolder* dir_ = nullptr;
};

TEST_F(TokenizerModel, DataShowsTheTextAndWhatIsLearnt) {
  const std::string shown = output({"data", "run.yaml", "--show", "1"});
  EXPECT_NE(shown.find("<|im_start|>assistant\n⟦yes<|im_end|>⟧\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("ids: 700 "), std::string::npos) << shown;
}

TEST_F(TokenizerModel, TrainedAdaptersAreEvaluated) {
  const Json result = Json::parse(output({"eval", "run.yaml", "--json", "--adapter", "out"}));
  EXPECT_GT(result["tokens"], 0);
}

TEST_F(TokenizerModel, GenerateWritesText) {
  const Json answer = Json::parse(generate("model"));
  EXPECT_TRUE(answer["answer"].is_string());
}

TEST_F(TokenizerModel, MergeTakesItAlong) {
  output({"merge", "model", "--adapter", "out", "--out", "merged", "--dtype", "fp32"});
  EXPECT_TRUE(tree(*dir_ / "merged").contains("tokenizer.model"));
  EXPECT_EQ(Json::parse(generate("merged"))["answer"],
            Json::parse(output({"generate", "model", "--dtype", "fp32", "--max-new-tokens", "12",
                                "--prompt", "Is it?", "--json", "--adapter", "out"}))["answer"]);
}

TEST_F(TokenizerModel, InspectAndBenchTakeTheFolder) {
  output({"inspect", "model"});
  output({"bench", "run.yaml"});
}

TEST_F(TokenizerModel, ADamagedOneIsRefused) {
  const ProgramFolder dir;
  fs::remove(dir / "model/tokenizer.json");
  const std::string model = read_text_file(kTokenizer / "tokenizer.model", 1 << 20);
  dir.write("model/tokenizer.model", model.substr(0, model.size() / 2));
  expect_failure(run_program(dir, {"generate", "model", "--prompt", "a"}), 6, "tokenizer.model");
  expect_failure(run_program(dir, {"data", "run.yaml"}), 6, "tokenizer.model");
}

}  // namespace
}  // namespace rung::command
