#include "training/run_inputs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "tests/support/expect_error.h"
#include "tests/training/tiny_run.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_error;
using rung::testing::TempDir;
using rung::testing::TinyRun;

using Names = std::vector<std::string>;

// What hash_inputs tells apart before and after `change`.
template <typename Change>
Names changed_by(TinyRun& run, Change&& change) {
  const InputHashes before = hash_inputs(run.config);
  change();
  return changed_inputs(before, hash_inputs(run.config), run.config);
}

void append(const TinyRun& run, const std::string& name, const std::string& text) {
  run.dir.write(name, run.dir.read(name) + text);
}

TEST(RunInputs, AreEqualWhereNothingChanged) {
  TinyRun run;
  EXPECT_EQ(changed_by(run, [] {}), Names{});
}

TEST(RunInputs, NameTheFileThatChanged) {
  for (const std::string name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    TinyRun run;
    EXPECT_EQ(changed_by(run, [&] { append(run, "model/" + name, "\n"); }),
              Names{"base_model/" + name});
  }
}

TEST(RunInputs, NameTheTokenizerFilesThatAreReadWithoutATokenizerJson) {
  for (const std::string name :
       {"tokenizer.model", "special_tokens_map.json", "added_tokens.json"}) {
    TinyRun run;
    EXPECT_EQ(changed_by(run, [&] { run.dir.write("model/" + name, "x"); }), Names{});
    fs::remove(run.dir / "model/tokenizer.json");
    EXPECT_EQ(changed_by(run, [&] { run.dir.write("model/" + name, "y"); }),
              Names{"base_model/" + name});
  }
}

TEST(RunInputs, NameDataSetsWithTheirPath) {
  TinyRun run;
  const std::string test = run.dir.write("test.jsonl", "{\"input_ids\":[1,2]}\n").string();
  run.config.test_datasets = {{.path = test, .type = DatasetType::kTokenized}};
  EXPECT_EQ(changed_by(run, [&] { append(run, "train.jsonl", "\n"); }),
            Names{"datasets.0 (" + run.config.datasets[0].path.string() + ")"});
  EXPECT_EQ(changed_by(run, [&] { append(run, "test.jsonl", "\n"); }),
            Names{"test_datasets.0 (" + test + ")"});
}

TEST(RunInputs, DoNotDependOnPaths) {
  TinyRun run;
  EXPECT_EQ(changed_by(run,
                       [&] {
                         fs::create_directory(run.dir / "elsewhere");
                         fs::rename(run.dir / "model", run.dir / "elsewhere/model");
                         fs::rename(run.dir / "train.jsonl", run.dir / "elsewhere/data.jsonl");
                         run.config.base_model = run.dir / "elsewhere/model";
                         run.config.datasets[0].path = run.dir / "elsewhere/data.jsonl";
                       }),
            Names{});
}

TEST(RunInputs, KnowTheWeightsByTheirEnds) {
  for (const size_t from_end : {size_t{0}, size_t{1}}) {
    TinyRun run;
    EXPECT_EQ(changed_by(run,
                         [&] {
                           std::string bytes = run.dir.read("model/model.safetensors");
                           (from_end == 1 ? bytes.back() : bytes[200]) ^= 1;
                           run.dir.write("model/model.safetensors", bytes);
                         }),
              Names{"base_model/weights"});
  }
}

TEST(RunInputs, PassOverFilesThatAreNotTheModels) {
  TinyRun run;
  EXPECT_EQ(changed_by(run, [&] { run.dir.write("model/stray.safetensors", "other weights"); }),
            Names{});
}

TEST(RunInputs, KnowTheWeightsOfEveryShardThatTheIndexNames) {
  TinyRun run;
  run.dir.write("model/a.safetensors", run.dir.read("model/model.safetensors"));
  run.dir.write("model/b.safetensors", "the other shard");
  run.dir.write("model/model.safetensors.index.json",
                R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})");
  fs::remove(run.dir / "model/model.safetensors");
  EXPECT_EQ(changed_by(run, [&] { append(run, "model/b.safetensors", "x"); }),
            Names{"base_model/weights"});
  EXPECT_EQ(changed_by(run, [&] { run.dir.write("model/c.safetensors", "no shard"); }), Names{});
}

TEST(RunInputs, KnowTheTemplateInForce) {
  TinyRun run;
  run.config.datasets[0].type = DatasetType::kChatTemplate;
  const std::string models = rung::testing::kTinyChatTemplate;
  // The same text from another place is the same template.
  EXPECT_EQ(
      changed_by(
          run,
          [&] { run.config.chat_template_jinja = run.dir.write("chat.jinja", models).string(); }),
      Names{});
  EXPECT_EQ(changed_by(run, [&] { append(run, "chat.jinja", "x"); }), Names{"chat_template"});
  EXPECT_EQ(changed_by(run, [&] { run.config.chat_template_jinja = models + "x"; }), Names{});
  run.config.chat_template_jinja.clear();
  EXPECT_EQ(changed_by(run, [&] { run.dir.write("model/chat_template.jinja", "{{ 1 }}"); }),
            Names{"chat_template"});
}

TEST(RunInputs, KnowTheAdapterToStartFrom) {
  TinyRun run;
  run.dir.write("start/adapter_config.json", "{}");
  run.dir.write("start/adapter_model.safetensors", "tensors");
  run.config.lora_model_dir = (run.dir / "start").string();
  EXPECT_EQ(changed_by(run, [&] { append(run, "start/adapter_model.safetensors", "x"); }),
            Names{"lora_model_dir/adapter_model.safetensors"});
  EXPECT_EQ(
      changed_by(run, [&] { run.config.lora_model_dir.clear(); }),
      (Names{"lora_model_dir/adapter_config.json", "lora_model_dir/adapter_model.safetensors"}));
}

TEST(RunInputs, AnAbsentFileDiffersFromEveryOther) {
  TinyRun run;
  EXPECT_EQ(changed_by(run, [&] { fs::remove(run.dir / "model/tokenizer_config.json"); }),
            Names{"base_model/tokenizer_config.json"});
  EXPECT_EQ(hash_inputs(run.config).at("base_model/tokenizer_config.json"), "absent");
}

TEST(RunInputs, ComeBackFromACheckpoint) {
  const TempDir dir;
  const InputHashes inputs = {{"datasets.0", "ab"}, {"base_model/config.json", "cd"}};
  write_inputs(dir.path(), inputs);
  EXPECT_EQ(read_inputs(dir.path()), inputs);
}

TEST(RunInputs, ACheckpointWithoutThemIsRefused) {
  const TempDir dir;
  expect_error(ExitCode::kConfig, "does not say what it was trained on",
               [&] { read_inputs(dir.path()); });
}

TEST(RunInputs, DamagedOnesAreDamaged) {
  const TempDir dir;
  for (const char* text : {"[]", "{\"datasets.0\": 1}", "{"}) {
    dir.write("inputs.json", text);
    expect_error(ExitCode::kDamaged, "inputs", [&] { read_inputs(dir.path()); });
  }
}

}  // namespace
}  // namespace rung::training
