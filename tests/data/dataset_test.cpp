// Whole data sets: lengths, counts, order, the validation split and its faults.
#include "data/dataset.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "tests/data/byte_tokenizer.h"
#include "tests/support/expect_error.h"

namespace rung::data {
namespace {

using rung::testing::byte_tokenizer;
using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::kByteVocab;
using rung::testing::TempDir;

struct Fixture {
  TempDir folder;
  RunConfig run;
  text::Tokenizer tokenizer = byte_tokenizer();

  Fixture() {
    run.sequence_len = 4;
    run.num_threads = 1;
  }
  DatasetConfig add(const std::string& name, const std::string& text,
                    DatasetType type = DatasetType::kTokenized) {
    DatasetConfig config;
    config.path = folder.write(name, text);
    config.type = type;
    run.datasets.push_back(config);
    return config;
  }
  EncodeContext context() const {
    return {.run = run, .tokenizer = tokenizer, .vocab_size = kByteVocab};
  }
  Dataset load() const { return load_dataset(run.datasets, context()); }
};

// `count` records [i, i], one a line.
std::string numbered(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += fmt::format("{{\"input_ids\":[{},{}]}}\n", i, i);
  return text;
}

std::vector<int32_t> first_ids(const Dataset& dataset) {
  std::vector<int32_t> ids;
  for (const Example& example : dataset.examples) ids.push_back(example.input_ids[0]);
  return ids;
}

TEST(LoadDataset, KeepsTheOrderOfTheFiles) {
  Fixture fixture;
  fixture.add("a.jsonl", "{\"input_ids\":[1,1]}\n{\"input_ids\":[2,2]}\n");
  fixture.add("b.json", "[{\"text\":\"\\u0003\"}]", DatasetType::kCompletion);
  const Dataset dataset = fixture.load();
  EXPECT_EQ(first_ids(dataset), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(dataset.examples[1].source, (fixture.folder / "a.jsonl").string() + ":2");
}

TEST(LoadDataset, IsTheSameWithAnyNumberOfThreads) {
  Fixture fixture;
  fixture.add("a.jsonl", numbered(250));
  const std::vector<int32_t> expected = first_ids(fixture.load());
  ASSERT_EQ(expected.size(), 250u);
  for (const int64_t threads : {2, 3, 0}) {
    fixture.run.num_threads = threads;
    EXPECT_EQ(first_ids(fixture.load()), expected);
  }
}

// What load() throws, in lines.
std::vector<std::string> faults_of(const Fixture& fixture) {
  std::istringstream message(error_of(ExitCode::kConfig, [&] { fixture.load(); }));
  std::vector<std::string> lines;
  for (std::string line; std::getline(message, line);) lines.push_back(line);
  return lines;
}

TEST(LoadDataset, ReportsFaultsInOrderWithAnyNumberOfThreads) {
  Fixture fixture;
  fixture.run.excess_length_strategy = ExcessLength::kRaise;
  fixture.add("a.jsonl", numbered(100) + "{\"input_ids\":[260]}\n{}\n" + numbered(100));
  fixture.add("b.jsonl", numbered(1) + "{\"input_ids\":[1,2,3,4,5]}\n");
  for (const int64_t threads : {1, 4}) {
    fixture.run.num_threads = threads;
    const std::vector<std::string> lines = faults_of(fixture);
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_EQ(lines[0], "3 records of the data cannot be used");
    EXPECT_TRUE(lines[1].ends_with("a.jsonl:101)")) << lines[1];
    EXPECT_TRUE(lines[2].ends_with("a.jsonl:102)")) << lines[2];
    EXPECT_TRUE(lines[3].ends_with("b.jsonl:2)")) << lines[3];
  }
}

TEST(LoadDataset, ReportsASingleFaultInOneLine) {
  Fixture fixture;
  fixture.add("a.jsonl", numbered(3) + "{}\n" + numbered(3));
  EXPECT_EQ(faults_of(fixture).size(), 1u);
  expect_error(ExitCode::kConfig, "a.jsonl:4)", [&] { fixture.load(); });
}

// Records are encoded 1,024 at a time.
TEST(LoadDataset, EndsReadingWhereThereAreFaultsEnough) {
  Fixture fixture;
  std::string bad;
  for (int i = 0; i < 1500; ++i) bad += "{}\n";
  fixture.add("a.jsonl", bad + numbered(2));
  const std::vector<std::string> lines = faults_of(fixture);
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_EQ(lines[0], "at least 1,024 records of the data cannot be used");
  EXPECT_TRUE(lines[10].ends_with("a.jsonl:10)")) << lines[10];
  EXPECT_TRUE(lines[11].starts_with("  and 1,014 more; reading ended at ")) << lines[11];
  EXPECT_TRUE(lines[11].ends_with("a.jsonl:1024, and more may follow")) << lines[11];
}

TEST(LoadDataset, ReadsNoFurtherFileWhereThereAreFaultsEnough) {
  Fixture fixture;
  std::string bad;
  for (int i = 0; i < 12; ++i) bad += "{}\n";
  fixture.add("a.jsonl", bad);
  fixture.add("b.jsonl", "never read");
  const std::vector<std::string> lines = faults_of(fixture);
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_EQ(lines[0], "at least 12 records of the data cannot be used");
  EXPECT_TRUE(lines[11].starts_with("  and 2 more; reading ended before ")) << lines[11];
}

TEST(LoadDataset, CountsTheFaultsBehindTheFirstTenWhereAllIsRead) {
  Fixture fixture;
  std::string bad;
  for (int i = 0; i < 12; ++i) bad += "{}\n";
  fixture.add("a.jsonl", bad);
  const std::vector<std::string> lines = faults_of(fixture);
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_EQ(lines[0], "12 records of the data cannot be used");
  EXPECT_EQ(lines[11], "  and 2 more");
}

TEST(LoadDataset, ReportsWhatIsNoJsonInAnArray) {
  Fixture fixture;
  fixture.add("a.json", "[{},\n{\"input_ids\":[1,2]}\n{}]");
  const std::vector<std::string> lines = faults_of(fixture);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[1].ends_with("a.json:1)")) << lines[1];
  EXPECT_NE(lines[2].find("a.json:"), std::string::npos) << lines[2];
}

// The record that is cut off is none, and what stands behind it is not read.
TEST(LoadDataset, SaysWhereReadingEnded) {
  Fixture fixture;
  fixture.add("a.json", "[{},\n{\"input_ids\":[1,2]},\n{\"input_ids\":[");
  const std::vector<std::string> lines = faults_of(fixture);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "1 record of the data cannot be used");
  EXPECT_TRUE(lines[1].ends_with("a.json:1)")) << lines[1];
  EXPECT_TRUE(lines[2].starts_with("  reading ended at ")) << lines[2];
  EXPECT_TRUE(lines[2].ends_with("a.json:3: the JSON array is not closed")) << lines[2];
}

TEST(LoadDataset, ReportsACutFileAloneInOneLine) {
  Fixture fixture;
  fixture.add("a.json", "[{\"input_ids\":[1,2]},\n{\"input_ids\":[");
  EXPECT_EQ(faults_of(fixture).size(), 1u);
  expect_error(ExitCode::kConfig, "the JSON array is not closed", [&] { fixture.load(); });
}

TEST(LoadDataset, CountsWhatItKeeps) {
  Fixture fixture;
  fixture.add("a.jsonl", "{\"input_ids\":[1,2,3]}\n{\"input_ids\":[1,2],\"labels\":[-100,2]}\n");
  const DatasetReport report = fixture.load().report;
  EXPECT_EQ(report.read, 2);
  EXPECT_EQ(report.kept, 2);
  EXPECT_EQ(report.tokens, 5);
  EXPECT_EQ(report.supervised_tokens, 3);
  EXPECT_EQ(report.longest, 3);
}

TEST(LoadDataset, DropsRecordsThatAreTooLong) {
  Fixture fixture;
  fixture.add("a.jsonl", "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[1,2,3,4]}\n");
  const Dataset dataset = fixture.load();
  EXPECT_EQ(dataset.report.too_long, 1);
  EXPECT_EQ(dataset.report.longest, 5);
  EXPECT_EQ(dataset.examples.size(), 1u);
}

TEST(LoadDataset, TruncatesWhereAskedTo) {
  Fixture fixture;
  fixture.run.excess_length_strategy = ExcessLength::kTruncate;
  fixture.add("a.jsonl", "{\"input_ids\":[1,2,3,4,5]}\n");
  const Dataset dataset = fixture.load();
  EXPECT_EQ(dataset.examples[0].input_ids, (std::vector<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(dataset.examples[0].labels.size(), 4u);
  EXPECT_EQ(dataset.report.truncated, 1);
}

TEST(LoadDataset, DropsWhatHasNothingToLearnAfterTruncation) {
  Fixture fixture;
  fixture.run.excess_length_strategy = ExcessLength::kTruncate;
  fixture.add("a.jsonl",
              "{\"input_ids\":[1,2,3,4,5],\"labels\":[-100,-100,-100,-100,5]}\n"
              "{\"input_ids\":[1,2]}\n");
  const DatasetReport report = fixture.load().report;
  EXPECT_EQ(report.without_labels, 1);
  EXPECT_EQ(report.kept, 1);
}

TEST(LoadDataset, RaisesWhereAskedTo) {
  Fixture fixture;
  fixture.run.excess_length_strategy = ExcessLength::kRaise;
  fixture.add("a.jsonl", "{\"input_ids\":[1,2]}\n{\"input_ids\":[1,2,3,4,5]}\n");
  expect_error(ExitCode::kConfig, "longer than sequence_len: got 5 tokens, expected at most 4",
               [&] { fixture.load(); });
  expect_error(ExitCode::kConfig, "a.jsonl:2)", [&] { fixture.load(); });
}

TEST(LoadDataset, RefusesADataSetThatLeavesNothing) {
  Fixture fixture;
  fixture.add("a.jsonl",
              "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[7]}\n"
              "{\"input_ids\":[1,2],\"labels\":[1,-100]}\n");
  expect_error(ExitCode::kConfig,
               "leaves nothing to learn: got 3 records: 1 too long, 2 without anything to learn, "
               "expected at least one example; raise sequence_len",
               [&] { fixture.load(); });
}

TEST(LoadDataset, RefusesAnEmptyFile) {
  Fixture fixture;
  fixture.add("a.jsonl", "\n");
  expect_error(ExitCode::kConfig, "leaves nothing to learn: got 0 records",
               [&] { fixture.load(); });
}

TEST(SplitValidation, TakesAShareOrANumber) {
  for (const double size : {0.2, 2.0}) {
    Fixture fixture;
    fixture.add("a.jsonl", numbered(10));
    Dataset train = fixture.load();
    const Dataset validation = split_validation(train, size, 42);
    EXPECT_EQ(validation.examples.size(), 2u);
    EXPECT_EQ(train.examples.size(), 8u);
    EXPECT_EQ(validation.report.tokens, 4);
    EXPECT_EQ(train.report.tokens, 16);
    EXPECT_EQ(train.report.read, 8);
  }
}

TEST(SplitValidation, KeepsEveryExampleOnceAndInOrder) {
  Fixture fixture;
  fixture.add("a.jsonl", numbered(33));
  Dataset train = fixture.load();
  const Dataset validation = split_validation(train, 0.3, 42);
  std::vector<int32_t> all = first_ids(train);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  const std::vector<int32_t> taken = first_ids(validation);
  EXPECT_TRUE(std::is_sorted(taken.begin(), taken.end()));
  all.insert(all.end(), taken.begin(), taken.end());
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), 33u);
  for (int32_t i = 0; i < 33; ++i) EXPECT_EQ(all[static_cast<size_t>(i)], i);
}

TEST(SplitValidation, DependsOnTheSeedAlone) {
  Fixture fixture;
  fixture.add("a.jsonl", numbered(33));
  const auto split = [&](uint64_t seed) {
    Dataset train = fixture.load();
    return first_ids(split_validation(train, 5, seed));
  };
  EXPECT_EQ(split(1), split(1));
  EXPECT_NE(split(1), split(2));
}

TEST(SplitValidation, TakesNothingByDefault) {
  Fixture fixture;
  fixture.add("a.jsonl", numbered(3));
  Dataset train = fixture.load();
  EXPECT_TRUE(split_validation(train, 0.0, 42).examples.empty());
  EXPECT_EQ(train.examples.size(), 3u);
}

TEST(SplitValidation, RefusesToTakeEverything) {
  Fixture fixture;
  fixture.add("a.jsonl", numbered(3));
  Dataset train = fixture.load();
  expect_error(ExitCode::kConfig,
               "val_set_size leaves nothing to train on: got 3 of 3 examples, expected fewer",
               [&] { split_validation(train, 3, 42); });
}

TEST(LoadRunData, PrefersTestDatasets) {
  Fixture fixture;
  fixture.run.test_datasets = {fixture.add("test.jsonl", numbered(2))};
  fixture.run.datasets.clear();
  fixture.add("train.jsonl", numbered(5));
  const RunData data = load_run_data(fixture.context());
  EXPECT_EQ(data.train.examples.size(), 5u);
  EXPECT_EQ(data.validation.examples.size(), 2u);
}

TEST(LoadValidationData, ReadsNoTrainingDataWhereThereAreTestDatasets) {
  Fixture fixture;
  fixture.run.test_datasets = {fixture.add("test.jsonl", numbered(2))};
  fixture.run.datasets.clear();
  fixture.add("train.jsonl", "not JSON\n");
  fixture.run.datasets.push_back({.path = fixture.folder / "absent.jsonl"});
  const Dataset validation = load_validation_data(fixture.context());
  EXPECT_EQ(validation.examples.size(), 2u);
}

TEST(LoadValidationData, TakesTheSplitOfTheRun) {
  Fixture fixture;
  fixture.add("train.jsonl", numbered(9));
  fixture.run.val_set_size = 3;
  const Dataset validation = load_validation_data(fixture.context());
  const RunData data = load_run_data(fixture.context());
  EXPECT_EQ(first_ids(validation), first_ids(data.validation));
  EXPECT_EQ(validation.report.kept, 3);
}

TEST(LoadValidationData, IsEmptyWhereNeitherIsConfigured) {
  Fixture fixture;
  fixture.add("train.jsonl", "not JSON\n");
  EXPECT_TRUE(load_validation_data(fixture.context()).examples.empty());
}

TEST(LoadChatTemplate, LoadsNoneWhereNoneIsNeeded) {
  Fixture fixture;
  fixture.add("a.jsonl", numbered(1));
  EXPECT_FALSE(load_chat_template(fixture.run, fixture.folder.path()).has_value());
}

TEST(LoadChatTemplate, TakesTheTextOfTheKeyAPathOrTheModels) {
  Fixture fixture;
  fixture.add("a.jsonl", "", DatasetType::kChatTemplate);
  fixture.folder.write("chat_template.jinja", "from model{{ 1 }}");
  const auto path = fixture.folder.write("other.jinja", "from path{{ 1 }}");
  EXPECT_EQ(load_chat_template(fixture.run, fixture.folder.path())->source(), "from model{{ 1 }}");
  fixture.run.chat_template_jinja = path.string();
  EXPECT_EQ(load_chat_template(fixture.run, fixture.folder.path())->source(), "from path{{ 1 }}");
  fixture.run.chat_template_jinja = "from key{{ 1 }}";
  EXPECT_EQ(load_chat_template(fixture.run, fixture.folder.path())->source(), "from key{{ 1 }}");
}

}  // namespace
}  // namespace rung::data
