// Faults are planted into the record of a sound run; the verdict has to name them, and them alone.
// creep_test.cpp and spike_test.cpp have those that take statistics.
#include "monitor/verdict.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/monitor/expect_verdict.h"
#include "tests/monitor/history.h"

namespace rung::monitor {
namespace {

using rung::testing::expect_healthy;
using rung::testing::expect_only;
using rung::testing::HistoryBuilder;
using rung::testing::kGiB;
using rung::testing::kinds_of;
using rung::testing::kMiB;
using rung::testing::text_of;

TEST(Verdict, KnowsNothingOfARunWithoutSteps) {
  expect_only(RunHistory(), Kind::kUnknown, {"no step yet"});
}

TEST(Verdict, SoundRunsAreHealthyWhateverTheirLengths) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    for (const int64_t steps : {3, 20, 200}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", steps " + std::to_string(steps));
      HistoryBuilder run(seed);
      expect_healthy(run.steps(steps).history());
    }
  }
}

TEST(Verdict, SaysWhereStepsAreTooFew) {
  HistoryBuilder run;
  expect_only(run.steps(4).history(), Kind::kHealthy, {"4 steps without a finding", "too few"});
}

TEST(Verdict, HasTooFewStepsWhereThereAreNoneInARow) {
  HistoryBuilder run;
  for (int64_t done = 0; done < 60; done += 6) run.start(done).steps(6);
  expect_only(run.history(), Kind::kHealthy, {"60 steps without a finding", "too few"});
}

TEST(Verdict, NamesTheLargestPeakOfEvaluationsToo) {
  HistoryBuilder run;
  run.steps(100);
  run.history().evaluations.at(1).memory_peak = 11 * kGiB;
  expect_only(run.history(), Kind::kHealthy, {"the largest peak was 11.0 GiB"});
}

TEST(Verdict, LongRunsAreRead) {
  HistoryBuilder run;
  expect_healthy(run.steps(20000).history());
}

// Fragmentation

TEST(Fragmentation, IsMoreReservedThanWasEverTaken) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    if (step.step > 40) step.memory_reserved = 10 * kGiB;
  }
  expect_only(run.history(), Kind::kFragmentation, {"10.0 GiB were reserved", "usual"});
}

TEST(Fragmentation, IsToldOfSlowGrowth) {
  HistoryBuilder run;
  run.steps(400);
  for (Step& step : run.rows()) step.memory_reserved += step.step * 8 * kMiB;
  expect_only(run.history(), Kind::kFragmentation, {"after step 400"});
}

TEST(Fragmentation, IsNotWhatTheTrialBeforeTheFirstStepLeft) {
  HistoryBuilder run;
  run.history().starts.back().memory_planned = 12 * kGiB;
  run.steps(100);
  for (Step& step : run.rows()) step.memory_reserved = 12 * kGiB;
  expect_healthy(run.history());
}

TEST(Fragmentation, IsNotWhatALargeStepOrAnEvaluationLeft) {
  HistoryBuilder run;
  run.steps(100);
  run.history().evaluations[0].memory_peak = 9 * kGiB;  // after step 25
  for (Step& step : run.rows()) {
    if (step.step > 25) step.memory_reserved = 9 * kGiB + 300 * kMiB;
  }
  expect_healthy(run.history());
}

TEST(Fragmentation, IsNotTheRoundingOfASmallModel) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    step.memory_live = 20 * kMiB;
    step.memory_peak = 60 * kMiB;
    step.memory_reserved = 120 * kMiB;
  }
  run.history().starts.back().memory_planned = 60 * kMiB;
  expect_healthy(run.history());
}

// What is kept there are whole blocks, which go where others are needed.
TEST(Fragmentation, IsNothingOnACpu) {
  HistoryBuilder run;
  run.history().starts.back().pci_bus_id = "";
  run.steps(100);
  for (Step& step : run.rows()) {
    if (step.step > 40) step.memory_reserved = 10 * kGiB;
  }
  expect_healthy(run.history());
}

// Neighbour

TEST(Neighbour, IsAnotherProcessThatBegins) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    if (step.step >= 70) *step.memory_neighbours += 3 * kGiB;
  }
  expect_only(run.history(), Kind::kNeighbour,
              {"took 3.", "most of it in step 70", "they have 3."});
  const Finding finding = verdict_of(run.history()).findings.at(0);
  EXPECT_EQ(finding.harm, Harm::kThreat);
  EXPECT_NE(finding.advice.find("memory_limit"), std::string::npos);
}

TEST(Neighbour, MayHaveGoneAgain) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    if (step.step >= 30 && step.step < 35) *step.memory_neighbours += 2 * kGiB;
  }
  expect_only(run.history(), Kind::kNeighbour, {"given back since"});
  EXPECT_EQ(verdict_of(run.history()).findings.at(0).harm, Harm::kNone);
}

TEST(Neighbour, IsNotADesktopThatMoves) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) *step.memory_neighbours += step.step % 7 * 25 * kMiB;
  expect_healthy(run.history());
}

TEST(Neighbour, IsNotOneThatLeaves) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    if (step.step < 50) *step.memory_neighbours += 4 * kGiB;
  }
  expect_healthy(run.history());
}

TEST(Neighbour, IsNotAnotherGpuAfterAResume) {
  HistoryBuilder run;
  run.steps(50).start(50).steps(50);
  for (Step& step : run.rows()) {
    if (step.step > 50) *step.memory_neighbours += 4 * kGiB;
  }
  expect_healthy(run.history());
}

TEST(Neighbour, MayBeUnknown) {
  HistoryBuilder run;
  run.steps(50);
  for (Step& step : run.rows()) step.memory_neighbours = std::nullopt;
  expect_healthy(run.history());
}

// There it is all that goes on on the machine.
TEST(Neighbour, IsNothingOnACpu) {
  HistoryBuilder run;
  run.history().starts.back().pci_bus_id = "";
  run.steps(100);
  for (Step& step : run.rows()) {
    *step.memory_neighbours += step.step * 211 % 17 * kGiB;
    if (step.step >= 60) *step.memory_neighbours += 40 * kGiB;
  }
  expect_healthy(run.history());
}

TEST(Neighbour, IsNothingWhereTheRecordDoesNotSayWhatTheDeviceIs) {
  HistoryBuilder run;
  run.steps(100);
  run.history().starts.clear();
  for (Step& step : run.rows()) {
    if (step.step >= 60) *step.memory_neighbours += 3 * kGiB;
  }
  expect_healthy(run.history());
}

TEST(Neighbour, IsToBlameForTheLimitOnAGpu) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    if (step.step >= 60) *step.memory_neighbours += 3 * kGiB;
  }
  run.history().out_of_memory = {
      {.step = 79, .during = "step 80 (16 documents)", .reason = "full", .is_again = true}};
  EXPECT_EQ(kinds_of(verdict_of(run.history())),
            (std::vector{Kind::kNeighbour, Kind::kOutOfMemory}));
}

// Out of memory, and several findings

TEST(OutOfMemory, IsToldWhereTheRunWentOn) {
  HistoryBuilder run;
  run.steps(60);
  run.history().out_of_memory = {
      {.step = 29, .during = "step 30 (16 documents)", .reason = "full", .is_again = true}};
  expect_only(run.history(), Kind::kOutOfMemory,
              {"once and the run went on", "step 30 (16 documents)", "nothing had to change",
               "nothing else in the record explains it"});
}

TEST(OutOfMemory, EndsWithTheCauseFirst) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", step.step * 100 * kMiB);
  run.history().outcome = {.exit_code = 4, .exit_reason = "out of memory in step 101"};
  const Verdict verdict = verdict_of(run.history());
  EXPECT_EQ(kinds_of(verdict), (std::vector{Kind::kCreep, Kind::kOutOfMemory})) << text_of(verdict);
  EXPECT_EQ(verdict.findings.at(0).harm, Harm::kSuffered);
  EXPECT_NE(verdict.findings.at(1).evidence.find("what explains it: creep"), std::string::npos);
}

TEST(OutOfMemory, IsNotBlamedOnWhatCameLater) {
  HistoryBuilder run;
  run.steps(100);
  run.history().out_of_memory = {
      {.step = 19, .during = "step 20 (16 documents)", .reason = "full", .is_again = true}};
  for (Step& step : run.rows()) {
    if (step.step >= 70) *step.memory_neighbours += 3 * kGiB;
  }
  const Verdict verdict = verdict_of(run.history());
  EXPECT_EQ(kinds_of(verdict), (std::vector{Kind::kOutOfMemory, Kind::kNeighbour}));
}

TEST(OutOfMemory, IsNotBlamedOnWhatHadGone) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    if (step.step >= 30 && step.step < 35) *step.memory_neighbours += 3 * kGiB;
  }
  for (const int64_t step : {20, 36, 80}) {
    run.history().out_of_memory = {{.step = step, .during = "a step", .is_again = true}};
    const Verdict verdict = verdict_of(run.history());
    EXPECT_EQ(verdict.kind, Kind::kOutOfMemory) << step << "\n" << text_of(verdict);
    EXPECT_NE(verdict.evidence.find("nothing else in the record explains it"), std::string::npos);
  }
  for (const int64_t step : {29, 32, 34}) {
    run.history().out_of_memory = {{.step = step, .during = "a step", .is_again = true}};
    EXPECT_EQ(verdict_of(run.history()).kind, Kind::kNeighbour) << step;
  }
}

TEST(OutOfMemory, IsNotBlamedOnAnotherProcess) {
  HistoryBuilder run;
  run.steps(50).start(50).steps(50);
  for (Step& step : run.rows()) {
    if (step.step >= 30 && step.step <= 50) *step.memory_neighbours += 3 * kGiB;
  }
  run.history().out_of_memory = {{.step = 50, .during = "step 51", .is_again = true}};
  EXPECT_EQ(verdict_of(run.history()).kind, Kind::kOutOfMemory)
      << text_of(verdict_of(run.history()));
  run.history().out_of_memory.front().process = 1;  // a step that the second one took again
  EXPECT_EQ(verdict_of(run.history()).kind, Kind::kNeighbour) << text_of(verdict_of(run.history()));
}

TEST(OutOfMemory, IsNotBlamedOnASmallLeak) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", step.step * kMiB);
  run.history().out_of_memory = {{.step = 80, .during = "step 81", .is_again = true}};
  const Verdict verdict = verdict_of(run.history());
  EXPECT_EQ(kinds_of(verdict), (std::vector{Kind::kOutOfMemory, Kind::kCreep})) << text_of(verdict);
}

TEST(OutOfMemory, NamesTheLongRowThatWasSplitInTheEnd) {
  HistoryBuilder run;
  run.steps(100);
  Step& step = run.rows()[49];
  step.largest_micro_batch = {
      .tokens = 2048, .documents = 1, .longest = 2048, .examples = {{"a.jsonl:9", 2048}}};
  run.history().out_of_memory = {
      {.step = 49, .during = "step 50 (16 documents)", .reason = "full", .to = "4 parts"}};
  const Verdict verdict = verdict_of(run.history());
  EXPECT_EQ(kinds_of(verdict), (std::vector{Kind::kSpike, Kind::kOutOfMemory})) << text_of(verdict);
  EXPECT_NE(verdict.evidence.find("a.jsonl:9, has 2,048 tokens"), std::string::npos);
}

TEST(OutOfMemory, NamesTheLongRowThatItsRowNames) {
  for (const char* during : {"step 50 (16 documents)", "the largest micro-batch (1 document)"}) {
    SCOPED_TRACE(during);
    HistoryBuilder run;
    run.steps(100);
    run.history().out_of_memory = {{.step = 49,
                                    .during = during,
                                    .reason = "full",
                                    .to = "4 parts",
                                    .settings = "train",
                                    .longest = ExampleSize{"a.jsonl:9", 2048}}};
    const Verdict verdict = verdict_of(run.history());
    EXPECT_EQ(kinds_of(verdict), (std::vector{Kind::kSpike, Kind::kOutOfMemory}))
        << text_of(verdict);
    EXPECT_EQ(verdict.findings.at(0).harm, Harm::kSuffered);
    EXPECT_NE(verdict.evidence.find("a.jsonl:9, has 2,048 tokens"), std::string::npos);
  }
}

TEST(OutOfMemory, IsNoSpikeInAnEvaluationOrWithAnOrdinaryRow) {
  for (const OutOfMemory& event :
       {OutOfMemory{.step = 50, .settings = "eval", .longest = ExampleSize{"v.jsonl:1", 4096}},
        OutOfMemory{.step = 50, .settings = "train", .longest = ExampleSize{"a.jsonl:1", 300}}}) {
    HistoryBuilder run;
    run.steps(100);
    run.history().out_of_memory = {event};
    EXPECT_EQ(kinds_of(verdict_of(run.history())), std::vector{Kind::kOutOfMemory});
  }
}

TEST(OutOfMemory, SaysThatTheRunNeverBegan) {
  RunHistory history;
  history.outcome = {.exit_code = 4, .exit_reason = "a training step does not fit"};
  expect_only(history, Kind::kOutOfMemory, {"took no step: a training step does not fit"});
}

TEST(OutOfMemory, IsNoOtherEnd) {
  HistoryBuilder run;
  run.steps(50);
  for (const int code : {0, 3, 5, 6, 75}) {
    run.history().outcome = {.exit_code = code, .exit_reason = "x"};
    expect_healthy(run.history());
  }
}

}  // namespace
}  // namespace rung::monitor
