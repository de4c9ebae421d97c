#include "training/plan_inputs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "base/config_visitor.h"
#include "data/sizes_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/scoped_variable.h"
#include "tests/training/tiny_run.h"
#include "training/setup.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::expect_error;
using rung::testing::ScopedVariable;
using rung::testing::TinyRun;

void append(const TinyRun& run, const std::string& name, const std::string& text) {
  run.dir.write(name, run.dir.read(name) + text);
}

bool key_changes(TinyRun& run, const std::function<void()>& change) {
  const std::string before = sizes_key(run.config);
  change();
  return sizes_key(run.config) != before;
}

bool key_changes(const std::function<void(RunConfig&)>& change) {
  TinyRun run;
  return key_changes(run, [&] { change(run.config); });
}

TEST(SizesKey, DiffersWithEveryFileThatIsRead) {
  for (const std::string name : {"model/tokenizer.json", "model/tokenizer_config.json",
                                 "model/config.json", "train.jsonl"}) {
    TinyRun run;
    EXPECT_TRUE(key_changes(run, [&] { append(run, name, "\n"); })) << name;
  }
  TinyRun run;
  EXPECT_FALSE(key_changes(run, [&] { append(run, "model/model.safetensors", "x"); }));
}

TEST(SizesKey, DiffersWithTheTemplateInForce) {
  TinyRun run;
  run.config.datasets[0].type = DatasetType::kChatTemplate;
  EXPECT_TRUE(key_changes(run, [&] { run.config.chat_template_jinja = "{{ 1 }}"; }));
  EXPECT_FALSE(key_changes(run, [&] {
    run.config.chat_template_jinja = run.dir.write("chat.jinja", "{{ 1 }}").string();
  }));
}

TEST(SizesKey, DiffersWithEveryKeyThatSaysWhatBecomesOfARecord) {
  const auto dataset = [](auto DatasetConfig::*field, const auto& value) {
    return key_changes([&](RunConfig& config) { config.datasets[0].*field = value; });
  };
  EXPECT_TRUE(dataset(&DatasetConfig::type, DatasetType::kCompletion));
  for (auto field :
       {&DatasetConfig::field, &DatasetConfig::field_messages,
        &DatasetConfig::message_property_role, &DatasetConfig::message_property_content}) {
    EXPECT_TRUE(dataset(field, "other"));
  }
  EXPECT_TRUE(key_changes([](RunConfig& c) { c.datasets.push_back(c.datasets[0]); }));
  EXPECT_TRUE(key_changes([](RunConfig& c) { c.test_datasets = c.datasets; }));
  EXPECT_TRUE(key_changes([](RunConfig& c) { c.val_set_size = 3; }));
  EXPECT_TRUE(key_changes([](RunConfig& c) { c.train_on_inputs = true; }));
  EXPECT_TRUE(key_changes([](RunConfig& c) { c.roles_to_train = {"user"}; }));
  EXPECT_TRUE(key_changes([](RunConfig& c) { c.train_on_eos = TrainOnEos::kLast; }));
  EXPECT_TRUE(key_changes([](RunConfig& c) { c.sequence_len = 63; }));
  EXPECT_TRUE(
      key_changes([](RunConfig& c) { c.excess_length_strategy = ExcessLength::kTruncate; }));
}

// The split draws from it.
TEST(SizesKey, DiffersWithTheSeedOfASplitOnly) {
  TinyRun run;
  EXPECT_FALSE(key_changes(run, [&] { run.config.seed = 1; }));
  run.config.val_set_size = 3;
  EXPECT_TRUE(key_changes(run, [&] { run.config.seed = 2; }));
  run.config.test_datasets = run.config.datasets;
  EXPECT_FALSE(key_changes(run, [&] { run.config.seed = 3; }));
}

TEST(SizesKey, IsTheSameWhateverElseIsPlanned) {
  EXPECT_FALSE(key_changes([](RunConfig& c) {
    c.adapter = AdapterKind::kQlora;
    c.lora_r = 64;
    c.sample_packing = false;
    c.shuffle = false;
    c.micro_batch_size = 7;
    c.gradient_accumulation_steps = 5;
    c.eval_batch_size = 3;
    c.max_steps = 1;
    c.learning_rate = 1;
    c.memory_limit = 1;
    c.num_threads = 2;
    c.output_dir = "elsewhere";
  }));
}

TEST(SizesKey, DoesNotDependOnPlacesButOnTheKindOfFile) {
  TinyRun run;
  EXPECT_FALSE(key_changes(run, [&] {
    fs::create_directory(run.dir / "elsewhere");
    fs::rename(run.dir / "train.jsonl", run.dir / "elsewhere/data.jsonl");
    run.config.datasets[0].path = run.dir / "elsewhere/data.jsonl";
  }));
  EXPECT_TRUE(key_changes(run, [&] {
    fs::rename(run.dir / "elsewhere/data.jsonl", run.dir / "data.txt");
    run.config.datasets[0].path = run.dir / "data.txt";
  })) << "which is refused";
}

// A key that is new here has to be taken up by sizes_key(), or decides no size.
TEST(SizesKey, KnowsEveryKeyOfTheData) {
  std::vector<std::string> keys;
  bool is_of_data = false;
  visit_run_config([&](const FieldInfo& info, auto) {
    if (!info.section.empty()) is_of_data = info.section == "Data";
    if (is_of_data) keys.emplace_back(info.name);
  });
  EXPECT_EQ(keys, (std::vector<std::string>{
                      "datasets", "test_datasets", "val_set_size", "chat_template",
                      "chat_template_jinja", "train_on_inputs", "roles_to_train", "train_on_eos",
                      "sequence_len", "sample_packing", "excess_length_strategy", "shuffle"}));
}

class LoadSizes : public ::testing::Test {
 protected:
  data::RunSizes load() const {
    std::ostringstream log;
    return load_sizes(run_.config, read_planned_model(run_.config).config, cache_, log);
  }
  data::RunSizes expected() const {
    const data::RunData data = load_data(run_.config, open_base_model(run_.config));
    return {.train = data::sizes_of(data.train.examples),
            .validation = data::sizes_of(data.validation.examples),
            .report = data.train.report};
  }
  fs::path entry() const { return cache_.folder() / sizes_key(run_.config); }

  TinyRun run_;
  ScopedVariable caches_{"XDG_CACHE_HOME", (run_.dir / "caches").string()};
  UserCache cache_{kSizesCache};
};

TEST_F(LoadSizes, AreThoseOfTheExamples) {
  for (const double val_set_size : {0.0, 3.0}) {
    run_.config.val_set_size = val_set_size;
    for (const char* call : {"first", "second"}) EXPECT_EQ(load(), expected()) << call;
  }
  EXPECT_EQ(expected().validation.size(), 3u);
}

TEST_F(LoadSizes, ComeFromTheCacheWhereTheyAreInIt) {
  const data::RunSizes stored = {
      .train = {{.num_tokens = 7, .num_supervised = 3}},
      .validation = {},
      .report = {.read = 3, .kept = 1, .too_long = 2, .tokens = 7, .supervised_tokens = 3}};
  cache_.write(sizes_key(run_.config), data::write_sizes(stored));
  EXPECT_EQ(load(), stored);
}

TEST_F(LoadSizes, NeedNoTokenizerThen) {
  run_.dir.write("model/tokenizer.json", "no tokenizer");
  expect_error(ExitCode::kDamaged, "tokenizer.json", [&] { load(); });
  EXPECT_FALSE(fs::exists(entry())) << "what failed is not remembered";
  cache_.write(sizes_key(run_.config), data::write_sizes({.train = {{.num_tokens = 7}}}));
  EXPECT_EQ(load().train.size(), 1u);
}

TEST_F(LoadSizes, AreCountedAgainWhereTheEntryIsDamaged) {
  load();
  const std::string sound = run_.dir.read(entry());
  for (const std::string& damaged :
       {std::string(), sound.substr(1), sound.substr(0, sound.size() - 9), "\xff" + sound,
        std::string("{}")}) {
    run_.dir.write(entry(), damaged);
    EXPECT_EQ(load(), expected());
    EXPECT_EQ(run_.dir.read(entry()), sound) << "it is written anew";
  }
}

TEST_F(LoadSizes, AreCountedEachTimeWithoutACache) {
  run_.dir.write("caches/rung", "a file where the folder should be");
  for (const char* call : {"first", "second"}) EXPECT_EQ(load(), expected()) << call;
}

TEST_F(LoadSizes, FaultsOfTheDataAreThoseOfARun) {
  append(run_, "train.jsonl", "{\"input_ids\": 1}\n");
  expect_error(ExitCode::kConfig, "train.jsonl:25", [&] { load(); });
  expect_error(ExitCode::kConfig, "train.jsonl:25", [&] { load(); });
}

TEST(PlannedModel, IsThatOfTheFolder) {
  const TinyRun run;
  const PlannedModel model = read_planned_model(run.config);
  EXPECT_EQ(model.config.num_layers, 2);
  EXPECT_EQ(model.note, std::nullopt);
}

TEST(PlannedModel, NeedsNoWeights) {
  const TinyRun run;
  fs::remove(run.dir / "model/model.safetensors");
  const PlannedModel model = read_planned_model(run.config);
  EXPECT_EQ(model.config.hidden_size, 32);
  ASSERT_TRUE(model.note.has_value());
  EXPECT_NE(model.note->find("there are no weights in"), std::string::npos) << *model.note;
}

// Of which a download without weights has the index.
TEST(PlannedModel, NeedsNoShards) {
  const TinyRun run;
  fs::rename(run.dir / "model/model.safetensors", run.dir / "model/a.safetensors");
  run.dir.write("model/model.safetensors.index.json",
                R"({"weight_map": {"x": "b.safetensors", "y": "c.safetensors"}})");
  EXPECT_TRUE(read_planned_model(run.config).note.has_value());
  fs::rename(run.dir / "model/a.safetensors", run.dir / "model/b.safetensors");
  expect_error(ExitCode::kConfig, "c.safetensors", [&] { read_planned_model(run.config); });
}

TEST(PlannedModel, IsCheckedAgainstWeightsThatAreThere) {
  const TinyRun run;
  std::string config = run.dir.read("model/config.json");
  config.replace(config.find("\"num_hidden_layers\":2"), 21, "\"num_hidden_layers\":3");
  run.dir.write("model/config.json", config);
  expect_error(ExitCode::kDamaged, "is missing", [&] { read_planned_model(run.config); });
}

}  // namespace
}  // namespace rung::training
