// The configurations that the project ships: each loads without a note, says how it is run, and its
// data can be read. Together they show every form of data and every way of training.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/dataset.h"
#include "tests/data/byte_tokenizer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model_folder.h"

namespace rung::data {
namespace {

namespace fs = std::filesystem;

const fs::path kProject = RUNG_SOURCE_DIR;
constexpr int64_t kSmolLm2Vocab = 49152;  // tokenized.jsonl has its ids
constexpr int64_t kLongest = 1 << 16;     // bytes, which are the tokens of the test's tokenizer

std::vector<fs::path> example_configs() {
  std::vector<fs::path> configs;
  for (const auto& entry : fs::directory_iterator(kProject / "configs")) {
    const std::string name = entry.path().filename().string();
    // These two list models for `rung bench` and GPUs for `rung plan`.
    if (name == "shapes.yaml" || name == "gpus.yaml") continue;
    if (entry.path().extension() == ".yaml") configs.push_back(entry.path());
  }
  std::ranges::sort(configs);
  return configs;
}

// With paths that hold from any working directory.
RunConfig loaded(const fs::path& path) {
  RunConfig config = load_run_config(path, {}).config;
  for (auto* datasets : {&config.datasets, &config.test_datasets}) {
    for (DatasetConfig& dataset : *datasets) dataset.path = kProject / dataset.path;
  }
  return config;
}

class ExampleConfig : public ::testing::TestWithParam<fs::path> {};

TEST_P(ExampleConfig, OpensWithTheCommandThatRunsIt) {
  std::ifstream file(GetParam());
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "# rung train configs/" + GetParam().filename().string());
}

TEST_P(ExampleConfig, IsSpelledAsRungSpellsIt) {
  EXPECT_EQ(load_run_config(GetParam(), {}).notes, std::vector<std::string>{});
}

TEST_P(ExampleConfig, WritesToItsOwnFolderBelowRuns) {
  EXPECT_EQ(loaded(GetParam()).output_dir, fs::path("runs") / GetParam().stem());
}

TEST_P(ExampleConfig, ReadsAllOfItsData) {
  const rung::testing::TempDir folder;
  rung::testing::write_byte_tokenizer(folder);
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder.path());
  const text::ChatTemplate chat_template(rung::testing::kTinyChatTemplate, "template");
  RunConfig config = loaded(GetParam());
  config.sequence_len = kLongest;
  const RunData data = load_run_data({.run = config,
                                      .tokenizer = tokenizer,
                                      .chat_template = &chat_template,
                                      .vocab_size = kSmolLm2Vocab});
  EXPECT_GE(data.train.report.read, 8);
  for (const DatasetReport& report : {data.train.report, data.validation.report}) {
    EXPECT_EQ(report.kept, report.read);
  }
}

INSTANTIATE_TEST_SUITE_P(Configs, ExampleConfig, ::testing::ValuesIn(example_configs()),
                         [](const auto& info) {
                           std::string name = info.param.stem().string();
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(ExampleConfigs, ShowEveryFormOfDataAndEveryWayOfTraining) {
  std::set<DatasetType> types;
  std::set<AdapterKind> adapters;
  std::set<ComputeDtype> dtypes;
  bool goes_on = false;
  for (const fs::path& path : example_configs()) {
    const RunConfig config = loaded(path);
    for (const DatasetConfig& dataset : config.datasets) types.insert(dataset.type);
    adapters.insert(config.adapter);
    dtypes.insert(config.compute_dtype);
    goes_on = goes_on || !config.lora_model_dir.empty();
  }
  EXPECT_EQ(types.size(), 5U);
  EXPECT_EQ(adapters.size(), 2U);
  EXPECT_TRUE(dtypes.contains(ComputeDtype::kBf16) && dtypes.contains(ComputeDtype::kFp32));
  EXPECT_TRUE(goes_on);
}

}  // namespace
}  // namespace rung::data
