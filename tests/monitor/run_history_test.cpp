// The reader of a run's folder: what it makes of rows, of what is torn, unknown or damaged.
#include "monitor/run_history.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::monitor {
namespace {

using rung::testing::expect_error;
using rung::testing::TempDir;

RunHistory read(const std::string& metrics) {
  const TempDir dir;
  dir.write("metrics.jsonl", metrics);
  return read_run_history(dir.path());
}

TEST(RunHistory, ReadsAStep) {
  const RunHistory history = read(
      R"({"kind":"train","step":3,"epoch":0.5,"loss":1.25,"grad_norm":0.5,"learning_rate":1e-4,)"
      R"("tokens":100,"supervised_tokens":40,"seconds":2.0,"tokens_per_second":50.0,)"
      R"("tokens_total":300,"elapsed_seconds":6.0,"time":1700000000.5,"memory_peak":1000,)"
      R"("memory_at_peak":{"head":400,"base_weights":600},"memory_live":700,)"
      R"("memory_reserved":1200,"memory_other":5,"memory_neighbours":7,"micro_batches":2,)"
      R"("documents":4,"largest_micro_batch":{"tokens":60,"documents":3,)"
      R"("examples":[{"source":"a.jsonl:7","tokens":30}]},"skipped":true})"
      "\n");
  ASSERT_EQ(history.steps.size(), 1u);
  const Step& step = history.steps.front();
  EXPECT_EQ(step.step, 3);
  EXPECT_EQ(step.loss, 1.25);
  EXPECT_EQ(step.tokens_per_second, 50.0);
  EXPECT_EQ(step.memory_at_peak, (ByComponent{{"base_weights", 600}, {"head", 400}}));
  EXPECT_EQ(step.memory_neighbours, 7);
  EXPECT_EQ(step.largest_micro_batch.examples.at(0).source, "a.jsonl:7");
  EXPECT_TRUE(step.is_skipped);
  EXPECT_FALSE(history.outcome);
}

TEST(RunHistory, ReadsStartEvaluationAndOutOfMemory) {
  const RunHistory history = read(
      R"({"kind":"start","first_step":2,"total_steps":9,"device":"CPU","memory_planned":50,)"
      R"("memory_planned_by_phase":{"train":50},"rung":"as it is"})"
      "\n"
      R"({"kind":"eval","step":4,"loss":1.5,"perplexity":4.5,"seconds":3.0,"memory_peak":40})"
      "\n"
      R"({"kind":"out_of_memory","step":4,"during":"step 5","reason":"full","from":"a","to":"b",)"
      R"("again":true})"
      "\n");
  ASSERT_EQ(history.starts.size(), 1u);
  EXPECT_EQ(history.starts[0].total_steps, 9);
  EXPECT_EQ(history.starts[0].memory_planned_by_phase.at("train"), 50);
  ASSERT_EQ(history.evaluations.size(), 1u);
  EXPECT_EQ(history.evaluations[0].memory_peak, 40);
  ASSERT_EQ(history.out_of_memory.size(), 1u);
  EXPECT_EQ(history.out_of_memory[0].to, "b");
  EXPECT_TRUE(history.out_of_memory[0].is_again);
}

TEST(RunHistory, ReadsWhatRanOutOfMemory) {
  const RunHistory history =
      read(R"({"kind":"start","first_step":0})"
           "\n"
           R"({"kind":"out_of_memory","step":0,"during":"the largest micro-batch",)"
           R"("settings":"train","longest":{"source":"a.jsonl:9","tokens":125}})"
           "\n"
           R"({"kind":"out_of_memory","step":4,"during":"the evaluation","settings":"eval"})"
           "\n"
           R"({"kind":"out_of_memory","step":4,"during":"step 5"})"
           "\n"
           R"({"kind":"out_of_memory","step":4,"during":"the checkpoint","longest":7})"
           "\n");
  const std::vector<OutOfMemory>& events = history.out_of_memory;
  ASSERT_EQ(events.size(), 4u);
  ASSERT_TRUE(events[0].longest);
  EXPECT_EQ(events[0].longest->source, "a.jsonl:9");
  EXPECT_EQ(events[0].longest->tokens, 125);
  EXPECT_TRUE(events[0].is_of_steps() && events[0].is_of_trial());
  EXPECT_EQ(events[0].process, 1u);
  EXPECT_FALSE(events[1].is_of_steps() || events[1].longest);
  EXPECT_TRUE(events[2].is_of_steps());
  EXPECT_FALSE(events[3].is_of_steps() || events[3].longest);
}

TEST(RunHistory, HasAStepThatWasTakenAgainOnce) {
  const RunHistory history = read(
      "{\"kind\":\"train\",\"step\":1,\"loss\":1.0}\n{\"kind\":\"train\",\"step\":2,\"loss\":2.0}\n"
      "{\"kind\":\"train\",\"step\":3,\"loss\":3.0}\n{\"kind\":\"start\",\"first_step\":1}\n"
      "{\"kind\":\"train\",\"step\":2,\"loss\":20.0}\n");
  ASSERT_EQ(history.steps.size(), 2u);
  EXPECT_EQ(history.steps[0].loss, 1.0);
  EXPECT_EQ(history.steps[1].step, 2);
  EXPECT_EQ(history.steps[1].loss, 20.0);
}

TEST(RunHistory, ANullIsNotANumber) {
  const RunHistory history = read("{\"kind\":\"train\",\"step\":1,\"loss\":null}\n");
  EXPECT_TRUE(std::isnan(history.steps.at(0).loss));
  EXPECT_TRUE(std::isnan(history.steps.at(0).grad_norm));
}

TEST(RunHistory, PassesOverATornLastLine) {
  EXPECT_EQ(read("{\"kind\":\"train\",\"step\":1}\n{\"kind\":\"train\",\"st").steps.size(), 1u);
  EXPECT_EQ(read("{\"kind\":\"train\",\"step\":1}\n{\"kind\":\"train\",\"step\":2}").steps.size(),
            1u);
}

TEST(RunHistory, PassesOverKindsAndKeysItDoesNotKnow) {
  const RunHistory history = read(
      "{\"kind\":\"weather\",\"step\":7}\n{}\n"
      "{\"kind\":\"train\",\"step\":1,\"colour\":[1,2],\"memory_at_peak\":{\"head\":\"much\"}}\n");
  ASSERT_EQ(history.steps.size(), 1u);
  EXPECT_TRUE(history.steps[0].memory_at_peak.empty());
}

TEST(RunHistory, AKeyOfAnotherTypeIsLeftOut) {
  const RunHistory history = read(
      "{\"kind\":\"train\",\"step\":1,\"loss\":\"low\",\"largest_micro_batch\":[],"
      "\"memory_peak\":1.5}\n");
  EXPECT_TRUE(std::isnan(history.steps.at(0).loss));
  EXPECT_EQ(history.steps.at(0).memory_peak, 0);
}

TEST(RunHistory, NamesTheDamagedLine) {
  expect_error(ExitCode::kDamaged, "metrics.jsonl:2",
               [] { read("{\"kind\":\"train\",\"step\":1}\nnonsense\n"); });
  expect_error(ExitCode::kDamaged, "metrics.jsonl:1", [] { read("[1]\n"); });
}

TEST(RunHistory, RefusesAFolderWithoutARun) {
  const TempDir dir;
  expect_error(ExitCode::kConfig, "there is no run in the folder",
               [&] { read_run_history(dir.path()); });
  expect_error(ExitCode::kConfig, "there is no run in the folder",
               [&] { read_run_history(dir / "none"); });
}

TEST(RunHistory, ReadsHowTheRunEnded) {
  const TempDir dir;
  dir.write("run.json",
            R"({"exit_code":75,"exit_reason":"stopped","steps":5,"skipped_steps":1,"tokens":900,
                "seconds":12.5,"rung_changes":[{"step":2,"from":"a","to":"b","reason":"full"},3],
                "memory":{"limit":100,"planned_peak":90,"planned_by_phase":{"train":90},
                          "measured_peak":80,"process_peak":300,"by_phase":{"train":80}},
                "versions":{"rung":"0.1.0"},"config":"lora_r: 4\n"})");
  const RunHistory history = read_run_history(dir.path());
  ASSERT_TRUE(history.outcome);
  EXPECT_EQ(history.outcome->exit_code, 75);
  EXPECT_EQ(history.outcome->steps, 5);
  ASSERT_EQ(history.outcome->rung_changes.size(), 1u);
  EXPECT_EQ(history.outcome->rung_changes[0].to, "b");
  EXPECT_EQ(history.outcome->memory_planned, 90);
  EXPECT_EQ(history.outcome->memory_by_phase.at("train"), 80);
  EXPECT_EQ(history.outcome->versions.at("rung"), "0.1.0");
  EXPECT_EQ(history.outcome->config, "lora_r: 4\n");
  EXPECT_TRUE(history.steps.empty());
}

}  // namespace
}  // namespace rung::monitor
