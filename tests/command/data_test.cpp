// `rung data` from the command line to its output.
#include "command/data.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "tests/data/byte_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::command {
namespace {

using rung::testing::expect_error;
using rung::testing::TempDir;

constexpr const char* kModelConfig =
    R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":260,
        "hidden_size":8,"intermediate_size":16,"num_hidden_layers":1,"num_attention_heads":2,
        "num_key_value_heads":2,"max_position_embeddings":64,"rms_norm_eps":1e-5,
        "tie_word_embeddings":true,"rope_theta":10000.0,"torch_dtype":"float32"})";

// A run over `records`, without weights.
struct Fixture {
  TempDir folder;
  std::string config;

  explicit Fixture(const std::string& records) {
    rung::testing::write_byte_tokenizer(folder);
    folder.write("config.json", kModelConfig);
    const std::string data = folder.write("data.jsonl", records).string();
    config = folder
                 .write("run.yaml", "base_model: " + folder.path().string() +
                                        "\nadapter: lora\nsequence_len: 16\n"
                                        "datasets:\n  - path: " +
                                        data + "\n    type: completion\noutput_dir: " +
                                        (folder / "out").string() + "\n")
                 .string();
  }
};

std::string run(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "data");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::testing::internal::CaptureStdout();
  std::string output;
  try {
    EXPECT_EQ(run_data(static_cast<int>(arguments.size()), argv.data()), 0);
  } catch (...) {
    ::testing::internal::GetCapturedStdout();
    throw;
  }
  return ::testing::internal::GetCapturedStdout();
}

constexpr const char* kRecords = "{\"text\":\"abc\"}\n{\"text\":\"de\"}\n";

TEST(RunData, PrintsOneObjectARowAndASummary) {
  const Fixture fixture(kRecords);
  std::istringstream output(run({fixture.config, "--json"}));
  std::vector<Json> lines;
  for (std::string line; std::getline(output, line);) lines.push_back(Json::parse(line));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["row"], 0);
  EXPECT_EQ(lines[1]["text"], "de</s>");
  EXPECT_EQ(lines[1]["input_ids"], Json({100, 101, 257}));
  EXPECT_EQ(lines[1]["labels"], Json({100, 101, 257}));
  EXPECT_EQ(lines[2]["summary"]["kept"], 2);
}

TEST(RunData, ShowsAsManyExamplesAsAskedFor) {
  const Fixture fixture(kRecords);
  const std::string output = run({fixture.config, "--show", "1"});
  EXPECT_NE(output.find("a⟦bc</s>⟧"), std::string::npos) << output;
  EXPECT_EQ(output.find("d⟦e</s>⟧"), std::string::npos) << output;
  EXPECT_NE(output.find("records: 2 read, 2 kept"), std::string::npos) << output;
}

TEST(RunData, TakesOverridesAsTheyAreWritten) {
  const Fixture fixture(kRecords);
  const std::string output = run({fixture.config, "--json", "--set", "val_set_size=1", "--set",
                                  "lora_target_modules=[q_proj, v_proj]"});
  EXPECT_NE(output.find("\"train\":1,\"validation\":1"), std::string::npos) << output;
}

TEST(RunData, NotesASequenceLenBeyondTheModel) {
  const Fixture fixture(kRecords);
  ::testing::internal::CaptureStderr();
  run({fixture.config, "--set", "sequence_len=65"});
  EXPECT_NE(::testing::internal::GetCapturedStderr().find(
                "note: sequence_len 65 is beyond the 64 positions"),
            std::string::npos);
}

TEST(RunData, FailsOnABadLine) {
  const Fixture fixture("{\"text\":\"abc\"}\n{\"text\":\n");
  expect_error(ExitCode::kConfig, "data.jsonl:2:", [&] { run({fixture.config}); });
}

TEST(RunData, NeedsAConfiguration) {
  expect_error(ExitCode::kUsage, "config is missing; see `rung data --help`", [] { run({}); });
}

TEST(RunData, RefusesUnknownOptions) {
  expect_error(ExitCode::kUsage, "see `rung data --help`", [] { run({"--shwo", "x.yaml"}); });
}

TEST(RunData, HelpsWithExamples) {
  EXPECT_NE(run({"--help"}).find("rung data configs/demo.yaml --json"), std::string::npos);
}

}  // namespace
}  // namespace rung::command
