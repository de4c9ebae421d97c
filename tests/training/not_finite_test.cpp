// Steps whose loss or gradient is not finite: skipped, counted, and put down to the rows at fault.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "format/adapter.h"
#include "format/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/training/tiny_run.h"
#include "training/run.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::kTinySteps;
using rung::testing::rows_of_kind;
using rung::testing::run_record_of;
using rung::testing::TinyRun;
using rung::testing::WatchedLog;

// A model in which every row with token 255 gives a loss that is not finite.
void poison_token_255(const TinyRun& run) {
  nlohmann::json config = rung::testing::tiny_model_config();
  config["tie_word_embeddings"] = false;
  run.dir.write("model/config.json", config.dump());
  const fs::path weights = run.dir / "model/model.safetensors";
  rung::testing::write_random_weights(weights, config);
  const format::SafetensorsFile file(weights);
  const format::TensorInfo& embeddings = file.tensors().at("model.embed_tokens.weight");
  std::string bytes = rung::testing::file_bytes(weights);
  std::string row(static_cast<size_t>(embeddings.num_elements() * 4), '\0');
  file.read("model.embed_tokens.weight", 0, std::as_writable_bytes(std::span(row)));
  const size_t at = bytes.find(row) + 255 * 32 * 4;
  const float infinite = std::numeric_limits<float>::infinity();
  std::memcpy(bytes.data() + at, &infinite, sizeof(infinite));
  run.dir.write("model/model.safetensors", bytes);
}

// A record a step, in order; those of `poisoned` (from 0) are not finite.
std::string records_with_poison(const std::set<int64_t>& poisoned) {
  std::string text;
  for (int64_t i = 0; i < kTinySteps; ++i) {
    Json ids = {1, 2, 3, 4, poisoned.contains(i) ? 255 : 5, 6};
    text += Json{{"input_ids", ids}}.dump() + "\n";
  }
  return text;
}

struct PoisonedRun : TinyRun {
  explicit PoisonedRun(const std::set<int64_t>& poisoned) {
    poison_token_255(*this);
    config.datasets[0].path = dir.write("poisoned.jsonl", records_with_poison(poisoned));
    config.sample_packing = false;
    config.shuffle = false;
    config.gradient_accumulation_steps = 1;
    config.max_skipped_steps = 2;
  }
};

TEST(Train, SkipsAndCountsStepsThatAreNotFinite) {
  const PoisonedRun run({1, 3, 5});
  WatchedLog log;
  EXPECT_EQ(run.train(log), ExitCode::kOk);
  EXPECT_EQ(run_record_of(run.config.output_dir)["skipped_steps"], 3);
  EXPECT_TRUE(log.contains("step 2 skipped: its loss is not finite, because of " +
                           (run.dir / "poisoned.jsonl").string() + ":2 (6 tokens)"))
      << log.text();
  for (const format::AdapterTensor& tensor : format::read_adapter(run.config.output_dir).tensors) {
    for (const float value : tensor.b) ASSERT_TRUE(std::isfinite(value));
  }
}

// Of a step over several documents the one at fault is named, and only that.
TEST(Train, NamesTheExamplesBehindAStepThatIsNotFinite) {
  PoisonedRun run({4});
  run.config.gradient_accumulation_steps = 3;
  run.config.max_steps = 2;
  run.train();
  const std::vector<Json> rows = rows_of_kind(run.config.output_dir, "train");
  EXPECT_FALSE(rows[0].contains("skipped"));
  EXPECT_EQ(rows[1].at("skipped"), true);
  const std::string culprit = (run.dir / "poisoned.jsonl").string() + ":5";
  EXPECT_EQ(rows[1].at("not_finite"), Json::array({culprit}));
}

TEST(Train, WritesNullForALossThatIsNotFinite) {
  const PoisonedRun run({1});
  run.train();
  const std::vector<Json> rows = rows_of_kind(run.config.output_dir, "train");
  EXPECT_TRUE(rows[0]["loss"].is_number());
  EXPECT_TRUE(rows[1]["loss"].is_null());
  EXPECT_TRUE(rows[2]["loss"].is_number());
}

TEST(Train, GivesUpAfterTooManySkippedStepsInARow) {
  const PoisonedRun run({0, 2, 3});
  const std::string message = error_of(ExitCode::kDiverged, [&] { run.train(); });
  EXPECT_NE(message.find("2 steps in a row"), std::string::npos) << message;
  EXPECT_NE(message.find(run.checkpoint(4).string()), std::string::npos) << message;
  for (const format::AdapterTensor& tensor : format::read_adapter(run.checkpoint(4)).tensors) {
    for (const float value : tensor.b) ASSERT_TRUE(std::isfinite(value));
  }
  const Json record = run_record_of(run.config.output_dir);
  EXPECT_EQ(record["exit_code"], 5);
  EXPECT_EQ(record["steps"], 4);
  EXPECT_EQ(record["skipped_steps"], 3);
}

TEST(Train, AStepThatIsNotFiniteChangesNothing) {
  PoisonedRun poisoned({kTinySteps - 1});
  poisoned.train();
  PoisonedRun sound({});
  sound.config.max_steps = kTinySteps - 1;
  sound.config.lr_scheduler = poisoned.config.lr_scheduler = LrScheduler::kConstant;
  poisoned.train({.mode = ResumeChoice::Mode::kNever});
  sound.train();
  EXPECT_EQ(rung::testing::file_bytes(poisoned.config.output_dir / "adapter_model.safetensors"),
            rung::testing::file_bytes(sound.config.output_dir / "adapter_model.safetensors"));
}

// A short row between longer ones of one micro-batch: halves must not blame a neighbour.
TEST(Train, NamesTheRightExampleOfAMicroBatch) {
  PoisonedRun run({});
  std::string text;
  for (const int64_t length : {12, 2, 9, 3, 7, 5}) {
    Json ids = Json::array();
    for (int64_t i = 0; i < length; ++i) ids.push_back(i + 1);
    if (length == 3) ids[1] = 255;
    text += Json{{"input_ids", ids}}.dump() + "\n";
  }
  run.config.datasets[0].path = run.dir.write("mixed.jsonl", text);
  run.config.micro_batch_size = 6;
  run.config.max_steps = 1;
  run.train();
  const Json row = rows_of_kind(run.config.output_dir, "train").at(0);
  EXPECT_EQ(row.at("not_finite"), Json::array({(run.dir / "mixed.jsonl").string() + ":4"}));
}

TEST(Train, CountsTheExamplesThatItDoesNotName) {
  PoisonedRun run({0, 1, 2, 3, 4});
  run.config.micro_batch_size = 6;
  run.config.max_steps = 1;
  WatchedLog log;
  run.train(log);
  EXPECT_TRUE(log.contains("poisoned.jsonl:4 (6 tokens) and 1 more")) << log.text();
}

TEST(Train, SaysWhereEveryExampleIsAtFault) {
  PoisonedRun run({0, 1, 2, 3, 4, 5});
  run.config.micro_batch_size = 6;
  run.config.max_steps = 1;
  WatchedLog log;
  run.train(log);
  EXPECT_TRUE(log.contains("nor is that of any of its 6 documents")) << log.text();
}

// The same command again must not pass over what was wrong and end as if nothing had been.
TEST(Train, ADivergedRunStaysDiverged) {
  const PoisonedRun run({4, 5});
  expect_error(ExitCode::kDiverged, "2 steps in a row", [&] { run.train(); });
  expect_error(ExitCode::kDiverged, "2 steps in a row", [&] { run.train(); });
  EXPECT_FALSE(fs::exists(run.config.output_dir / "adapter_model.safetensors"));
}

}  // namespace
}  // namespace rung::training
