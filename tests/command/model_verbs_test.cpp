// The verbs around training, from one small trained adapter: eval, generate, merge, inspect,
// import.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <regex>
#include <sstream>
#include <string>

#include "base/publish.h"
#include "format/model_folder.h"
#include "format/safetensors.h"
#include "tests/command/program.h"
#include "tests/format/tiny_gguf.h"
#include "tests/support/file_size_limit.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_failure;
using rung::testing::ProgramFolder;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::tree;

// A folder with an adapter in `out`, trained hard enough to change answers; shared, never changed
// but for new names.
class ModelVerbs : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new ProgramFolder;
    const std::string chat = R"({"messages": [{"role": "user", "content": "Is it?"},)"
                             R"( {"role": "assistant", "content": "yes"}]})";
    dir_->write("train.jsonl", chat + "\n" + chat + "\n");
    dir_->write_config("test_datasets: [{path: train.jsonl, type: chat_template}]\n");
    std::string config = dir_->read("run.yaml");
    config.replace(config.find("max_steps: 4"), 12, "max_steps: 80");
    dir_->write("run.yaml", config);
    ASSERT_EQ(run({"train", "run.yaml"}).code, 0);
  }
  static void TearDownTestSuite() { delete dir_; }

  static ProgramResult run(std::vector<std::string> arguments) {
    return run_program(*dir_, std::move(arguments));
  }

  // The output of a run that must succeed.
  static std::string output(std::vector<std::string> arguments) {
    const ProgramResult result = run(std::move(arguments));
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  }

  static Json json_output(std::vector<std::string> arguments) {
    return Json::parse(output(std::move(arguments)));
  }

  static std::string generate(std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "model", "--dtype", "fp32", "--max-new-tokens", "12"});
    return output(std::move(more));
  }

  static inline ProgramFolder* dir_ = nullptr;
};

TEST_F(ModelVerbs, EvalPrintsLossPerplexityAndTokens) {
  const Json base = json_output({"eval", "run.yaml", "--json"});
  EXPECT_EQ(base.size(), 3U);
  EXPECT_NEAR(std::exp(base["loss"].get<double>()), base["perplexity"].get<double>(), 1e-6);
  EXPECT_GT(base["tokens"], 0);
  const Json tuned = json_output({"eval", "run.yaml", "--json", "--adapter", "out"});
  EXPECT_LT(tuned["loss"].get<double>(), 0.8 * base["loss"].get<double>());
}

TEST_F(ModelVerbs, EvalAgreesWithTheEvaluationOfTheRun) {
  std::istringstream metrics(dir_->read("out/metrics.jsonl"));
  Json last;
  for (std::string line; std::getline(metrics, line);) {
    if (Json row = Json::parse(line); row["kind"] == "eval") last = row;
  }
  const Json again = json_output({"eval", "run.yaml", "--json", "--adapter", "out"});
  EXPECT_NEAR(again["loss"].get<double>(), last["loss"].get<double>(), 1e-5);
  EXPECT_EQ(again["tokens"], last["tokens"]);
}

TEST_F(ModelVerbs, EvalIsALineForPeopleToo) {
  EXPECT_TRUE(output({"eval", "run.yaml"}).starts_with("loss "));
}

TEST_F(ModelVerbs, GenerateIsTheSameEveryTime) {
  const std::vector<std::string> greedy = {"--prompt", "Is it?"};
  EXPECT_EQ(generate(greedy), generate(greedy));
  const std::vector<std::string> sampled = {"--prompt", "Is it?", "--temperature", "1.5",
                                            "--seed",   "3",      "--json"};
  EXPECT_EQ(generate(sampled), generate(sampled));
}

TEST_F(ModelVerbs, GenerateSamplesBySeed) {
  const auto with_seed = [](const char* seed) {
    return generate({"--prompt", "Is it?", "--temperature", "2", "--seed", seed, "--json"});
  };
  EXPECT_NE(with_seed("1"), with_seed("2"));
}

TEST_F(ModelVerbs, GenerateAnswersAsItWasTaught) {
  const Json tuned = Json::parse(generate({"--prompt", "Is it?", "--json", "--adapter", "out"}));
  const Json base = Json::parse(generate({"--prompt", "Is it?", "--json"}));
  EXPECT_NE(tuned["answer"], base["answer"]);
  EXPECT_TRUE(tuned["answer"].get<std::string>().starts_with("yes")) << tuned["answer"];
}

TEST_F(ModelVerbs, GenerateTakesChatsOneALine) {
  dir_->write("chats.jsonl", R"({"messages":[{"role":"user","content":"Is it?"},)"
                             R"({"role":"assistant","content":"yes"}]})"
                             "\n\n"
                             R"([{"role":"user","content":"Or not?"}])"
                             "\n");
  std::istringstream lines(generate({"--chat", "chats.jsonl", "--json"}));
  std::vector<Json> answers;
  for (std::string line; std::getline(lines, line);) answers.push_back(Json::parse(line));
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0]["reference"], "yes");
  EXPECT_EQ(answers[0]["messages"].size(), 1U) << "the reference is no part of the prompt";
  EXPECT_FALSE(answers[1].contains("reference"));
  const Json alone = Json::parse(generate({"--prompt", "Is it?", "--json"}));
  EXPECT_EQ(answers[0]["answer"], alone["answer"]) << "the batch changed an answer";
}

TEST_F(ModelVerbs, GenerateTakesSpecialTextInAPrompt) {
  EXPECT_EQ(run({"generate", "model", "--prompt", "<|im_end|><s>", "--max-new-tokens", "2"}).code,
            0);
  EXPECT_EQ(run({"generate", "model", "--prompt", "<s>", "--raw", "--max-new-tokens", "2"}).code,
            0);
}

TEST_F(ModelVerbs, GenerateNeverDrivesTheTerminal) {
  // The untrained model answers with random bytes, control characters among them.
  for (int seed = 0; seed < 3; ++seed) {
    const std::string text = generate({"--prompt", "a", "--temperature", "100", "--seed",
                                       std::to_string(seed), "--max-new-tokens", "100"});
    for (const char c : text) {
      EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t');
    }
  }
}

TEST_F(ModelVerbs, GenerateEndsWithTheModelsContext) {
  const ProgramResult result = run({"generate", "model", "--prompt", "Is it?", "--json"});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(std::regex_search(
      result.err, std::regex("note: answers end after \\d+ tokens: the model's context has 128")))
      << result.err;
  expect_failure(run({"generate", "model", "--prompt", std::string(200, 'a')}), 3,
                 "a prompt does not fit into the model's context");
}

TEST_F(ModelVerbs, GenerateRefusesWhatIsNoChat) {
  const auto chat = [](const std::string& text) {
    dir_->write("odd.jsonl", text);
    return run({"generate", "model", "--chat", "odd.jsonl"});
  };
  expect_failure(chat(""), 3, "the file holds no chat");
  expect_failure(chat("{\"messages\": []}\n"), 3, "odd.jsonl:1");
  expect_failure(chat("[1]\n"), 3, "odd.jsonl:1");
  expect_failure(chat("[{\"role\": 1, \"content\": \"a\"}]\n"), 3, "odd.jsonl:1");
  expect_failure(chat("[{\"role\": \"user\", \"content\": [1]}]\n"), 3, "odd.jsonl:1");
  expect_failure(chat("[{\"role\": \"assistant\", \"content\": \"a\"}]\n"), 3,
                 "a chat has nothing to answer");
  EXPECT_NE(chat("{\"messages\": \n").code, 1);
  expect_failure(run({"generate", "model", "--chat", "absent.jsonl"}), 3, "absent.jsonl");
}

TEST_F(ModelVerbs, MergeWritesACompleteModel) {
  EXPECT_EQ(output({"merge", "model", "--adapter", "out", "--out", "merged", "--dtype", "fp32"}),
            "merged 14 linears: merged\n");
  EXPECT_EQ(tree(*dir_ / "merged"),
            (std::set<std::string>{"config.json", "manifest.json", "model.safetensors",
                                   "tokenizer.json", "tokenizer_config.json"}));
  const format::ModelFolder folder(*dir_ / "merged");
  EXPECT_EQ(folder.config().dtype, "float32");
  EXPECT_NO_THROW(verify_manifest(*dir_ / "merged"));
  // The merged model says what the adapter on its base says.
  EXPECT_EQ(output({"generate", "merged", "--dtype", "fp32", "--max-new-tokens", "12", "--prompt",
                    "Is it?"}),
            generate({"--prompt", "Is it?", "--adapter", "out"}));
}

TEST_F(ModelVerbs, MergeRoundsToTheTypeAskedFor) {
  const std::map<std::string, std::pair<std::string, format::DType>> types = {
      {"bf16", {"bfloat16", format::DType::kBF16}}, {"fp16", {"float16", format::DType::kF16}}};
  for (const auto& [option, type] : types) {
    const std::string out = "merged_" + option;
    output({"merge", "model", "--adapter", "out", "--out", out, "--dtype", option});
    const format::ModelFolder folder(*dir_ / out);
    EXPECT_EQ(folder.config().dtype, type.first);
    for (const std::string& name : folder.names()) EXPECT_EQ(folder.info(name).dtype, type.second);
  }
}

TEST_F(ModelVerbs, MergeLeavesNothingOnAFullDisk) {
  const auto before = tree(dir_->path());
  {
    const rung::testing::FileSizeLimit limit(20'000);  // bytes: less than the weights
    expect_failure(run({"merge", "model", "--adapter", "out", "--out", "no_room"}), 6,
                   "File too large");
  }
  EXPECT_EQ(tree(dir_->path()), before);
}

TEST_F(ModelVerbs, InspectDescribesAModel) {
  const Json model = json_output({"inspect", "model", "--json"});
  EXPECT_EQ(model["kind"], "model");
  EXPECT_EQ(model["vocab_size"], 260);
  EXPECT_EQ(model["blocks"], 2);
  EXPECT_NE(output({"inspect", "model"}).find("sound: yes\n"), std::string::npos);
}

TEST_F(ModelVerbs, InspectDescribesAnAdapter) {
  const Json adapter = json_output({"inspect", "out", "--json"});
  EXPECT_EQ(adapter["kind"], "adapter");
  EXPECT_EQ(adapter["r"], 4);
  EXPECT_EQ(adapter["linears"], 14);
}

TEST_F(ModelVerbs, InspectDescribesACheckpoint) {
  const Json checkpoint = json_output({"inspect", "out/checkpoints/step-000080", "--json"});
  EXPECT_EQ(checkpoint["kind"], "checkpoint");
  EXPECT_EQ(checkpoint["state"]["step"], 80);
}

TEST_F(ModelVerbs, InspectListsTensors) {
  const Json file = json_output({"inspect", "model/model.safetensors", "--json"});
  EXPECT_EQ(file["kind"], "safetensors");
  EXPECT_EQ(file["tensors"]["model.norm.weight"]["shape"], Json({32}));
}

TEST_F(ModelVerbs, ImportMakesAModelThatOtherVerbsTake) {
  dir_->write("tiny.gguf", rung::testing::tiny_gguf().build());
  EXPECT_EQ(json_output({"inspect", "tiny.gguf", "--json"})["kind"], "gguf");
  EXPECT_TRUE(output({"import", "tiny.gguf", "imported"}).starts_with("imported"));
  EXPECT_EQ(json_output({"inspect", "imported", "--json"})["kind"], "model");
  EXPECT_EQ(run({"generate", "imported", "--prompt", "ab", "--raw", "--max-new-tokens", "2"}).code,
            0);
}

TEST_F(ModelVerbs, AFullStandardOutputIsAnError) {
  for (const char* arguments : {"--version", "help config", "inspect model"}) {
    const std::string command = "cd " + dir_->path().string() + " && " RUNG_BINARY " " + arguments +
                                " > /dev/full 2> full.err";
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 6) << arguments;
    EXPECT_TRUE(dir_->read("full.err").starts_with("error: cannot write to standard output"));
  }
}

}  // namespace
}  // namespace rung::command
