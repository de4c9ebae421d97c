// Faults planted in real runs, told by the verdict from what the run has written down.
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "memory/counter.h"
#include "monitor/run_history.h"
#include "monitor/verdict.h"
#include "tests/training/tiny_run.h"

namespace rung::monitor {
namespace {

using rung::testing::TinyRun;
using rung::testing::WatchedLog;

// Keeps something after every step that it is told of, as a forgotten reference would.
class LeakingLog : private std::streambuf, public std::ostream {
 public:
  LeakingLog() : std::ostream(static_cast<std::streambuf*>(this)) {}

 private:
  int overflow(int c) override {
    if (c != EOF) take(std::string(1, static_cast<char>(c)));
    return c;
  }
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    take(std::string(text, static_cast<size_t>(count)));
    return count;
  }
  void take(const std::string& text) {
    line_ += text;
    if (line_.find('\n') == std::string::npos) return;
    if (line_.starts_with("step ")) {
      const memory::ComponentScope scope(memory::Component::kKvCache);
      leaked_.push_back(at::empty({16 << 10}, at::TensorOptions(at::kByte)));
    }
    line_.clear();
  }

  std::string line_;
  std::vector<at::Tensor> leaked_;
};

std::string rows_of(const std::vector<int64_t>& lengths) {
  std::string text;
  for (const int64_t length : lengths) {
    Json ids = Json::array();
    for (int64_t i = 0; i < length; ++i) ids.push_back(i % 200);
    text += Json{{"input_ids", ids}}.dump() + "\n";
  }
  return text;
}

// Rows of these lengths, one a step, in this order.
struct RowsRun : TinyRun {
  explicit RowsRun(const std::vector<int64_t>& lengths) {
    config.datasets[0].path = dir.write("rows.jsonl", rows_of(lengths));
    config.sequence_len = 128;
    config.sample_packing = false;
    config.shuffle = false;
    config.gradient_accumulation_steps = 1;
    config.max_steps = static_cast<int64_t>(lengths.size());
  }
  Verdict verdict() const { return verdict_of(read_run_history(config.output_dir)); }

  // Once for its plan, and again with that as its limit and a part of it taken: memory runs out in
  // what is largest.
  void train_at_its_plan() {
    train();
    config.memory_limit = rung::testing::run_record_of(config.output_dir)["memory"]["planned_peak"];
    const at::Tensor unplanned = at::empty({32 << 10}, at::TensorOptions(at::kByte));
    train({.mode = training::ResumeChoice::Mode::kNever});
    ASSERT_GT(rung::testing::run_record_of(config.output_dir)["oom_recoveries"], 0);
  }
};

std::vector<int64_t> usual_lengths(int64_t count) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < count; ++i) lengths.push_back(10 + 7 * i % 5);
  return lengths;
}

TEST(PlantedFault, NoneIsToldOfASoundRun) {
  const RowsRun run(usual_lengths(30));
  run.train();
  const Verdict verdict = run.verdict();
  EXPECT_EQ(verdict.kind, Kind::kHealthy) << verdict.evidence;
}

TEST(PlantedFault, ALeakIsToldWithWhatGrows) {
  const RowsRun run(usual_lengths(30));
  LeakingLog log;
  run.train(log);
  const Verdict verdict = run.verdict();
  EXPECT_EQ(verdict.kind, Kind::kCreep) << verdict.evidence;
  EXPECT_NE(verdict.evidence.find("grows by 16.0 KiB a step"), std::string::npos)
      << verdict.evidence;
  EXPECT_NE(verdict.evidence.find("\"kv_cache\""), std::string::npos) << verdict.evidence;
}

TEST(PlantedFault, ALongRowIsToldWithItsPlace) {
  std::vector<int64_t> lengths = usual_lengths(30);
  lengths[17] = 125;
  const RowsRun run(lengths);
  run.train();
  const Verdict verdict = run.verdict();
  EXPECT_EQ(verdict.kind, Kind::kSpike) << verdict.evidence;
  EXPECT_EQ(verdict.findings[0].step, 18);
  EXPECT_NE(verdict.evidence.find("rows.jsonl:18"), std::string::npos) << verdict.evidence;
}

// Memory runs out because of the long row, in its step or in the trial before the first one; the
// run goes on, and that row is named.
TEST(PlantedFault, ASpikeThatMemoryRanOutBecauseOfComesFirst) {
  std::vector<int64_t> lengths = usual_lengths(30);
  lengths[17] = 125;
  RowsRun run(lengths);
  run.train_at_its_plan();
  const Verdict verdict = run.verdict();
  EXPECT_EQ(verdict.kind, Kind::kSpike) << verdict.evidence;
  EXPECT_NE(verdict.evidence.find("rows.jsonl:18"), std::string::npos) << verdict.evidence;
  ASSERT_FALSE(verdict.findings.empty());
  EXPECT_EQ(verdict.findings[0].harm, Harm::kSuffered);
}

// Steps that fit, and a larger batch in the evaluation.
TEST(PlantedFault, AnEvaluationThatMemoryRanOutInIsToldWithItsKey) {
  RowsRun run(usual_lengths(30));
  const std::string rows = rows_of(std::vector<int64_t>(6, 120));
  run.config.test_datasets = {
      {.path = run.dir.write("test.jsonl", rows), .type = DatasetType::kTokenized}};
  run.config.eval_batch_size = 6;
  run.train_at_its_plan();
  const Verdict verdict = run.verdict();
  EXPECT_EQ(verdict.kind, Kind::kOutOfMemory) << verdict.evidence;
  EXPECT_NE(verdict.evidence.find("an evaluation of"), std::string::npos) << verdict.evidence;
  ASSERT_FALSE(verdict.findings.empty());
  EXPECT_NE(verdict.findings[0].advice.find("eval_batch_size"), std::string::npos)
      << verdict.findings[0].advice;
}

}  // namespace
}  // namespace rung::monitor
