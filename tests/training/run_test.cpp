// Whole training runs on the tiny model: what they leave behind, and how they end.
#include "training/run.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/config.h"
#include "base/sha256.h"
#include "format/adapter.h"
#include "tests/support/expect_error.h"
#include "tests/training/tiny_run.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::expect_same_outcome;
using rung::testing::kTinySteps;
using rung::testing::metrics_of;
using rung::testing::outcome_of;
using rung::testing::rows_of_kind;
using rung::testing::run_record_of;
using rung::testing::TinyRun;
using rung::testing::WatchedLog;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

TEST(Train, LeavesExactlyTheseFiles) {
  const TinyRun run;
  EXPECT_EQ(run.train(), ExitCode::kOk);
  EXPECT_EQ(
      names_in(run.config.output_dir),
      (std::set<std::string>{"adapter_config.json", "adapter_model.safetensors", "checkpoints",
                             "config.resolved.yaml", "metrics.jsonl", "run.json"}));
  EXPECT_EQ(names_in(run.config.output_dir / "checkpoints"),
            (std::set<std::string>{"step-000006"}));
}

TEST(Train, WritesEveryKeyOfATrainRow) {
  const TinyRun run;
  run.train();
  const std::vector<Json> rows = rows_of_kind(run.config.output_dir, "train");
  ASSERT_EQ(rows.size(), static_cast<size_t>(kTinySteps));
  for (const Json& row : rows) {
    for (const char* key :
         {"step", "epoch", "loss", "grad_norm", "learning_rate", "tokens", "supervised_tokens",
          "seconds", "tokens_per_second", "tokens_total", "elapsed_seconds", "memory_peak",
          "memory_live", "memory_reserved", "memory_other", "memory_neighbours", "time",
          "micro_batches", "documents"}) {
      ASSERT_TRUE(row.contains(key)) << key;
      EXPECT_TRUE(row[key].is_number()) << key;
      EXPECT_GE(row[key].get<double>(), 0.0) << key;
    }
  }
}

TEST(Train, RecordsTheMemoryOfEachStepByComponent) {
  const TinyRun run;
  run.train();
  for (const Json& row : rows_of_kind(run.config.output_dir, "train")) {
    int64_t at_peak = 0;
    for (const auto& [name, bytes] : row.at("memory_at_peak").items()) {
      if (name != "library") at_peak += bytes.get<int64_t>();
    }
    EXPECT_EQ(at_peak, row.at("memory_peak"));
    EXPECT_GT(row.at("memory_live_by_component").at("adapters"), 0);
    EXPECT_LE(row.at("memory_live"), row.at("memory_peak"));
  }
}

// The peak of a step is its own, not the largest so far.
TEST(Train, RecordsThePeakOfAShortStepBesideALongOne) {
  TinyRun run;
  run.config.datasets[0].path =
      run.dir.write("lengths.jsonl",
                    "{\"input_ids\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}\n"
                    "{\"input_ids\":[1,2,3]}\n");
  run.config.sample_packing = false;
  run.config.shuffle = false;
  run.config.gradient_accumulation_steps = 1;
  run.config.max_steps = 2;
  run.train();
  const std::vector<Json> rows = rows_of_kind(run.config.output_dir, "train");
  EXPECT_LT(rows[1].at("memory_peak"), rows[0].at("memory_peak"));
  const Json& largest = rows[1].at("largest_micro_batch");
  EXPECT_EQ(largest.at("tokens"), 3);
  EXPECT_EQ(largest.at("examples")[0].at("source"), (run.dir / "lengths.jsonl").string() + ":2");
}

TEST(Train, BeginsItsRecordWithThePlan) {
  const TinyRun run;
  run.train();
  const std::vector<Json> starts = rows_of_kind(run.config.output_dir, "start");
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].at("total_steps"), kTinySteps);
  EXPECT_EQ(starts[0].at("first_step"), 0);
  EXPECT_EQ(starts[0].at("device"), "CPU");
  EXPECT_EQ(starts[0].at("memory_limit"), run.config.memory_limit);
  EXPECT_EQ(starts[0].at("memory_planned"),
            run_record_of(run.config.output_dir)["memory"]["planned_peak"]);
  EXPECT_GT(starts[0].at("memory_planned_by_component").at("activations"), 0);
}

TEST(Train, CountsStepsAndTokensInMetrics) {
  const TinyRun run;
  run.train();
  int64_t step = 0;
  int64_t tokens = 0;
  for (const Json& row : rows_of_kind(run.config.output_dir, "train")) {
    tokens += row["tokens"].get<int64_t>();
    EXPECT_EQ(row["step"], ++step);
    EXPECT_EQ(row["tokens_total"], tokens);
    EXPECT_LT(row["supervised_tokens"], row["tokens"]);
  }
  EXPECT_EQ(run_record_of(run.config.output_dir)["tokens"], tokens);
}

TEST(Train, WritesEveryKeyOfRunJson) {
  const TinyRun run;
  run.train();
  const Json record = run_record_of(run.config.output_dir);
  for (const char* key :
       {"exit_code", "exit_reason", "steps", "memory", "rung_changes", "oom_recoveries",
        "skipped_steps", "tokens", "seconds", "versions", "hashes", "config"}) {
    EXPECT_TRUE(record.contains(key)) << key;
  }
  for (const char* key : {"limit", "planned_peak", "measured_peak", "process_peak", "by_phase"}) {
    EXPECT_TRUE(record["memory"].contains(key)) << key;
  }
  EXPECT_EQ(record["exit_code"], 0);
  EXPECT_EQ(record["exit_reason"], "done");
  EXPECT_EQ(record["steps"], kTinySteps);
}

TEST(Train, RecordsTheHashesOfItsInputsAndItsAdapter) {
  const TinyRun run;
  run.train();
  const Json hashes = run_record_of(run.config.output_dir)["hashes"];
  EXPECT_EQ(hashes["datasets.0"], sha256_of_file(run.config.datasets[0].path));
  EXPECT_EQ(hashes["base_model/config.json"], sha256_of_file(run.dir / "model/config.json"));
  EXPECT_EQ(hashes["adapter_model.safetensors"],
            sha256_of_file(run.config.output_dir / "adapter_model.safetensors"));
}

TEST(Train, MeasuresWhatItPlanned) {
  const TinyRun run;
  run.train();
  const Json memory = run_record_of(run.config.output_dir)["memory"];
  EXPECT_LE(memory["by_phase"]["train"], memory["planned_peak"]);
  EXPECT_GE(memory["by_phase"]["train"].get<double>(), 0.8 * memory["planned_peak"].get<double>());
  EXPECT_EQ(memory["planned_by_phase"], Json({{"train", memory["planned_peak"]}}));
}

// Holds all of its examples at a time, more than a step.
struct EvaluatingRun : TinyRun {
  EvaluatingRun() {
    config.test_datasets = config.datasets;
    config.eval_batch_size = 24;
    config.gradient_checkpointing = {.mode = Recompute::Mode::kAll};
  }
  Json memory() const { return run_record_of(config.output_dir)["memory"]; }
  double validation_loss() const { return rows_of_kind(config.output_dir, "eval").back()["loss"]; }
};

TEST(Train, PlansTheEvaluationToo) {
  const EvaluatingRun run;
  run.train();
  const Json memory = run.memory();
  const Json planned = memory["planned_by_phase"];
  ASSERT_GT(planned["eval"], planned["train"]) << "the case is not one";
  EXPECT_EQ(memory["planned_peak"], planned["eval"]);
  EXPECT_LE(memory["by_phase"]["eval"], planned["eval"]);
  // The plan has every token learnt, a third of these is not.
  EXPECT_GE(memory["by_phase"]["eval"].get<double>(), 0.8 * planned["eval"].get<double>());
}

TEST(Train, EvaluatesFewerAtATimeWhereTheWantedNumberDoesNotFit) {
  EvaluatingRun run;
  WatchedLog roomy;
  run.train(roomy);
  EXPECT_FALSE(roomy.contains("at a time")) << roomy.text();
  const double loss = run.validation_loss();
  run.config.memory_limit = run.memory()["planned_by_phase"]["train"];
  WatchedLog log;
  EXPECT_EQ(run.train(log, {.mode = ResumeChoice::Mode::kNever}), ExitCode::kOk);
  EXPECT_TRUE(log.contains("examples at a time, as 24 do not fit\n")) << log.text();
  EXPECT_LE(run.memory()["planned_peak"], run.config.memory_limit);
  EXPECT_NEAR(run.validation_loss(), loss, 1e-6 * loss);
}

TEST(Train, WritesBackItsWholeConfiguration) {
  TinyRun run;
  run.config.device = "cpu";
  run.train();
  const RunConfig saved =
      load_run_config(run.config.output_dir / "config.resolved.yaml", {}).config;
  EXPECT_EQ(changed_keys(saved, run.config), std::vector<std::string>{});
}

TEST(Train, LeavesAnAdapterThatReadsBack) {
  const TinyRun run;
  run.train();
  const format::AdapterFolder adapter = format::read_adapter(run.config.output_dir);
  EXPECT_EQ(adapter.config.r, 4);
  EXPECT_EQ(adapter.tensors.size(), 14U);
  for (const format::AdapterTensor& tensor : adapter.tensors) {
    const bool moved = std::ranges::any_of(tensor.b, [](float value) { return value != 0.0F; });
    EXPECT_TRUE(moved) << tensor.module;
  }
}

TEST(Train, GivesTheSameBitsTwice) {
  const TinyRun first;
  first.train();
  TinyRun second;
  second.train();
  const auto weights = [](const TinyRun& run) {
    return rung::testing::file_bytes(run.config.output_dir / "adapter_model.safetensors");
  };
  EXPECT_EQ(weights(first), weights(second));
}

TEST(Train, AnotherSeedGivesAnotherAdapter) {
  TinyRun run;
  run.train();
  const auto first = run.config.output_dir / "adapter_model.safetensors";
  const std::string bytes = rung::testing::file_bytes(first);
  run.config.seed = 43;
  run.train({.mode = ResumeChoice::Mode::kNever});
  EXPECT_NE(rung::testing::file_bytes(first), bytes);
}

// Few enough rows that all of them can be learnt by heart.
void train_by_heart(TinyRun& run) {
  run.config.datasets[0].path = run.dir.write("few.jsonl", rung::testing::tiny_records(4, 256));
  run.config.lora_r = 16;
  run.config.lora_alpha = 32;
  run.config.lora_dropout = 0.0;
  run.config.gradient_accumulation_steps = 1;
  run.config.micro_batch_size = 4;
  run.config.max_steps = 150;
  run.train();
  const std::vector<Json> rows = rows_of_kind(run.config.output_dir, "train");
  EXPECT_GT(rows.front()["loss"].get<double>(), 5.0);
  EXPECT_LT(rows.back()["loss"].get<double>(), 1.0);
}

TEST(Train, LearnsAFewRowsByHeart) {
  TinyRun run;
  train_by_heart(run);
}

TEST(Train, LearnsAFewRowsByHeartInBf16OverFourBits) {
  TinyRun run;
  run.config.adapter = AdapterKind::kQlora;
  run.config.load_in_4bit = true;
  run.config.compute_dtype = ComputeDtype::kBf16;
  train_by_heart(run);
}

TEST(Train, EvaluatesDuringAndAfter) {
  TinyRun run;
  run.config.val_set_size = 4;
  run.config.eval_steps = 2;
  run.train();
  std::vector<int64_t> steps;
  for (const Json& row : rows_of_kind(run.config.output_dir, "eval")) {
    steps.push_back(row["step"]);
    EXPECT_NEAR(std::exp(row["loss"].get<double>()), row["perplexity"].get<double>(), 1e-6);
    EXPECT_GT(row["tokens"], 0);
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{2, 4, 6}));
}

TEST(Train, EvaluatesOnceAtTheEndByDefault) {
  TinyRun run;
  run.config.test_datasets = run.config.datasets;
  run.train();
  EXPECT_EQ(rows_of_kind(run.config.output_dir, "eval").size(), 1U);
}

TEST(Train, EvaluationDoesNotChangeTheTraining) {
  TinyRun run;
  run.train();
  const auto adapter = run.config.output_dir / "adapter_model.safetensors";
  const std::string bytes = rung::testing::file_bytes(adapter);
  run.config.test_datasets = run.config.datasets;
  run.config.eval_steps = 1;
  run.train({.mode = ResumeChoice::Mode::kNever});
  EXPECT_EQ(rung::testing::file_bytes(adapter), bytes);
}

TEST(Train, KeepsAsManyCheckpointsAsAskedFor) {
  TinyRun run;
  run.config.save_steps = 1;
  run.config.save_total_limit = 3;
  run.train();
  EXPECT_EQ(names_in(run.config.output_dir / "checkpoints"),
            (std::set<std::string>{"step-000004", "step-000005", "step-000006"}));
}

TEST(Train, StartsFromAnAdapter) {
  TinyRun run;
  run.train();
  TinyRun next;
  next.config.lora_model_dir = run.config.output_dir.string();
  next.config.lora_dropout = 0.0;
  next.config.learning_rate = 1e-30;  // too small to move a float
  next.train();
  EXPECT_EQ(format::read_adapter(next.config.output_dir).tensors[0].b,
            format::read_adapter(run.config.output_dir).tensors[0].b);
}

TEST(Train, RefusesToOverwriteTheAdapterItStartsFrom) {
  TinyRun run;
  run.train();
  run.config.lora_model_dir = run.config.output_dir.string();
  expect_error(ExitCode::kConfig, "lora_model_dir lies in output_dir",
               [&] { run.train({.mode = ResumeChoice::Mode::kNever}); });
  EXPECT_TRUE(fs::exists(run.config.output_dir / "adapter_model.safetensors"));
}

TEST(Train, NotesASequenceLenBeyondTheModel) {
  TinyRun run;
  WatchedLog fits;
  run.config.sequence_len = rung::testing::kTinyContext;
  run.train(fits);
  EXPECT_FALSE(fits.contains("note: ")) << fits.text();
  run.config.sequence_len = rung::testing::kTinyContext + 1;
  WatchedLog log;
  run.train(log, {.mode = ResumeChoice::Mode::kNever});
  EXPECT_TRUE(log.contains("note: sequence_len 129 is beyond the 128 positions")) << log.text();
}

TEST(Train, RefusesAMemoryLimitAboveWhatIsFree) {
  TinyRun run;
  run.config.memory_limit = int64_t{1} << 50;
  expect_error(ExitCode::kDoesNotFit, "memory_limit is above what is free", [&] { run.train(); });
}

TEST(Train, RefusesADeviceThatIsNotThere) {
  TinyRun run;
  run.config.device = "cuda:7";
  expect_error(ExitCode::kConfig, "cuda:7", [&] { run.train(); });
}

TEST(Train, RefusesIdsOutsideTheVocabularyWithFileAndLine) {
  TinyRun run;
  run.config.datasets[0].path =
      run.dir.write("bad.jsonl", "{\"input_ids\":[1,2]}\n{\"input_ids\":[1,260]}\n");
  expect_error(ExitCode::kConfig, "bad.jsonl:2", [&] { run.train(); });
  EXPECT_EQ(run_record_of(run.config.output_dir)["exit_code"], 3);
}

}  // namespace
}  // namespace rung::training
