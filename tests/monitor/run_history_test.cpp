// The reader of a run's folder: what it makes of rows, of what is torn, unknown or damaged.
#include "monitor/run_history.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/json.h"
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

TEST(RunHistory, LeavesOutNumbersThatNoRunHas) {
  for (const char* number :
       {"9223372036854775808", "18446744073709551615", "9007199254740993", "-1", "1e308", "1.5"}) {
    SCOPED_TRACE(number);
    const std::string value = number;
    const RunHistory history =
        read("{\"kind\":\"start\",\"first_step\":" + value + ",\"total_steps\":" + value +
             ",\"pid\":" + value + "}\n{\"kind\":\"train\",\"step\":1,\"memory_peak\":" + value +
             ",\"memory_neighbours\":" + value + ",\"memory_at_peak\":{\"head\":" + value +
             "},\"largest_micro_batch\":{\"tokens\":" + value +
             "}}\n{\"kind\":\"train\",\"step\":" + value +
             "}\n{\"kind\":\"out_of_memory\",\"step\":" + value + "}\n");
    ASSERT_EQ(history.steps.size(), 1u) << "a step has a number from 1 to 2^53";
    EXPECT_EQ(history.starts.at(0).first_step, 0);
    EXPECT_EQ(history.starts.at(0).total_steps, 0);
    EXPECT_EQ(history.starts.at(0).pid, 0);
    EXPECT_EQ(history.steps[0].memory_peak, 0);
    EXPECT_FALSE(history.steps[0].memory_neighbours);
    EXPECT_TRUE(history.steps[0].memory_at_peak.empty());
    EXPECT_EQ(history.steps[0].largest_micro_batch.tokens, 0);
    EXPECT_EQ(history.out_of_memory.at(0).step, 0);
  }
}

TEST(RunHistory, LeavesOutStepsWithoutANumber) {
  EXPECT_TRUE(read("{\"kind\":\"train\"}\n{\"kind\":\"train\",\"step\":0}\n").steps.empty());
}

TEST(RunHistory, AnExitCodeIsAnInt) {
  for (const char* code :
       {"4294967296", "2147483648", "-2147483649", "1e10", "18446744073709551615"}) {
    const TempDir dir;
    dir.write("run.json", std::string("{\"exit_code\":") + code + "}");
    EXPECT_EQ(read_run_history(dir.path()).outcome->exit_code, 0) << code;
  }
}

TEST(RunHistory, CutsLongTexts) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "\u00e9";
  const RunHistory history = read("{\"kind\":\"start\",\"device\":\"" + text + "\"}\n");
  const std::string& device = history.starts.at(0).device;
  EXPECT_LE(device.size(), 2000u);
  EXPECT_GT(device.size(), 1990u);
  EXPECT_TRUE(device.ends_with("\u00e9...")) << "no half a character";
  const TempDir dir;
  dir.write("run.json", Json{{"config", std::string(100'000, 'x')}}.dump());
  EXPECT_EQ(read_run_history(dir.path()).outcome->config.size(), 65'536u);
}

TEST(RunHistory, RefusesALineThatIsTooLong) {
  const std::string row = "{\"kind\":\"train\",\"step\":1}\n";
  for (const char* end : {"\n", ""}) {
    expect_error(ExitCode::kDamaged, "metrics.jsonl:2",
                 [&] { read(row + std::string((size_t{1} << 20) + 1, ' ') + end); });
  }
}

// Of a million steps the names would take more than all their figures.
TEST(RunHistory, KeepsTheExamplesOfTheHighestSteps) {
  std::string metrics;
  const auto add = [&](int64_t step, int64_t peak) {
    metrics += Json{{"kind", "train"},
                    {"step", step},
                    {"memory_peak", peak},
                    {"memory_live", 10},
                    {"largest_micro_batch",
                     {{"tokens", 9}, {"examples", {{{"source", "a:1"}, {"tokens", 7}}}}}}}
                   .dump() +
               "\n";
  };
  add(1, 100);
  add(2, 90);
  add(3, 110);
  metrics += "{\"kind\":\"out_of_memory\",\"step\":3}\n";
  add(4, 50);
  add(5, 40);
  for (int64_t step = 6; step <= 1000; ++step) add(step, 50 + step);
  const RunHistory history = read(metrics);
  const auto num_named = [&](size_t first, size_t end) {
    size_t count = 0;
    for (size_t i = first; i < end; ++i) {
      count += history.steps[i].largest_micro_batch.examples.size();
      EXPECT_EQ(history.steps[i].largest_micro_batch.longest, 7);
    }
    return count;
  };
  EXPECT_EQ(num_named(0, 1000), 256u) << "bounded where each step is the highest so far";
  EXPECT_EQ(history.steps.back().largest_micro_batch.examples.size(), 1u);
  metrics.clear();
  for (int64_t step = 1; step <= 5; ++step) add(step, step == 3 ? 110 : 100 - step);
  EXPECT_EQ(read(metrics).steps[2].largest_micro_batch.examples.at(0).source, "a:1");
  EXPECT_TRUE(read(metrics).steps[4].largest_micro_batch.examples.empty());
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
