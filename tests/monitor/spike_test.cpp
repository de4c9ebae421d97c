// A long example is planted into the record of a sound run, or what only looks like one.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "monitor/verdict.h"
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

TEST(Spike, IsALongExample) {
  HistoryBuilder run;
  run.steps(100);
  HistoryBuilder::lengthen(run.rows()[41], 4096);
  run.history().starts.back().memory_planned = 9 * kGiB;
  expect_only(run.history(), Kind::kSpike,
              {"step 42 peaked at", "long.jsonl:77 (4,096 tokens)", "tokens where 1,"});
  const Finding spike = verdict_of(run.history()).findings.at(0);
  EXPECT_TRUE(spike.figures["explained"].get<bool>());
  EXPECT_EQ(spike.figures["rows"][0]["source"], "long.jsonl:77");
  EXPECT_NE(spike.advice.find("the plan has counted with it"), std::string::npos) << spike.advice;
  EXPECT_NE(spike.advice.find("sequence_len"), std::string::npos);
}

TEST(Spike, IsSeenInAShortRunAndAtItsEnd) {
  HistoryBuilder run;
  run.steps(12);
  HistoryBuilder::lengthen(run.last(), 4096);
  expect_only(run.history(), Kind::kSpike, {"step 12 peaked"});
}

TEST(Spike, CountsStepsLikeIt) {
  HistoryBuilder run;
  run.steps(200);
  for (const size_t i : {30, 90, 150}) HistoryBuilder::lengthen(run.rows()[i], 4096);
  expect_only(run.history(), Kind::kSpike, {"the largest of 3 such steps"});
}

TEST(Spike, IsAlsoALongExampleThatComesOnceInASmallEpoch) {
  HistoryBuilder run;
  run.steps(30);
  for (Step& step : run.rows()) {
    if (step.step % 6 == 0) HistoryBuilder::lengthen(step, 4096);
  }
  expect_only(run.history(), Kind::kSpike, {"the largest of 5 such steps"});
}

TEST(Spike, SaysWhereTheBatchDoesNotExplainIt) {
  HistoryBuilder run;
  run.steps(100);
  run.rows()[41].memory_peak += 4 * kGiB;
  run.history().starts.back().memory_planned = 12 * kGiB;
  expect_only(run.history(), Kind::kSpike, {"step 42", "does not explain it"});
  const Finding spike = verdict_of(run.history()).findings.at(0);
  EXPECT_FALSE(spike.figures["explained"].get<bool>());
}

TEST(Spike, IsNotTheLongEndOfOrdinaryLengths) {
  HistoryBuilder run;
  run.steps(300);
  run.history().starts.back().memory_planned = 9 * kGiB;
  for (Step& step : run.rows()) {
    if (step.step % 4 == 0) HistoryBuilder::lengthen(step, 4096);  // every fourth batch: usual
  }
  expect_healthy(run.history());
}

TEST(Spike, IsAPeakPastThePlanOrNearTheLimitWhateverTheSpread) {
  HistoryBuilder run;
  run.steps(99);
  for (Step& step : run.rows()) {
    if (step.step % 3 == 0) HistoryBuilder::lengthen(step, 1500);
  }
  HistoryBuilder::lengthen(run.rows()[50], 5000);
  Start& start = run.history().starts.back();
  start.memory_planned = 9 * kGiB;
  expect_healthy(run.history());
  start.memory_planned = 7 * kGiB;
  expect_only(run.history(), Kind::kSpike, {"step 51", "long.jsonl:77 (5,000 tokens)"});
  start.memory_planned = 9 * kGiB;
  start.memory_limit = run.rows()[50].memory_peak + 600 * kMiB;  // 500 of them beside tensors
  expect_only(run.history(), Kind::kSpike, {"step 51"});
}

TEST(Spike, IsNotALittleMoreThanBatchesOfOneSize) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    step.memory_live = 20 * kMiB;
    step.memory_peak = (step.step == 50 ? 90 : 70) * kMiB;
  }
  expect_healthy(run.history());
}

TEST(Spike, IsNotLengthsThatGrow) {
  HistoryBuilder run;
  run.steps(200);
  for (Step& step : run.rows()) HistoryBuilder::lengthen(step, 400 + 5 * step.step);
  expect_healthy(run.history());
}

TEST(Spike, IsNotAnotherRung) {
  HistoryBuilder run;
  run.steps(100);
  run.history().out_of_memory = {{.step = 20, .during = "step 21", .to = "32 blocks recomputed"}};
  for (Step& step : run.rows()) {
    if (step.step > 20) step.memory_peak -= (step.memory_peak - step.memory_live) * 4 / 5;
  }
  EXPECT_EQ(kinds_of(verdict_of(run.history())), std::vector{Kind::kOutOfMemory});
}

TEST(Spike, IsNotHiddenByLargeWeights) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "base_weights", 14 * kGiB);
  HistoryBuilder::lengthen(run.rows()[41], 4096);
  run.history().starts.back().memory_planned = 23 * kGiB;
  expect_only(run.history(), Kind::kSpike, {"step 42"});
}

TEST(Spike, IsNothingBesideFarLargerWeights) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "base_weights", 70 * kGiB);
  HistoryBuilder::lengthen(run.rows()[41], 4096);
  expect_healthy(run.history());
}

TEST(Spike, IsSeldomTheLongEndOfLengthsThatSpreadByFactors) {
  int num_spikes = 0;
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    std::lognormal_distribution<double> lengths(6.0, 0.5);
    HistoryBuilder run;
    run.steps(100);
    for (Step& step : run.rows()) {
      step.largest_micro_batch.tokens = static_cast<int64_t>(lengths(random));
      step.memory_peak =
          step.memory_live + step.largest_micro_batch.tokens * HistoryBuilder::kBytesPerToken;
    }
    num_spikes += verdict_of(run.history()).kind == Kind::kSpike;
  }
  EXPECT_LE(num_spikes, 5);
}

TEST(Spike, IsNotMadeByCreepNorHiddenByIt) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", step.step * 50 * kMiB);
  EXPECT_EQ(kinds_of(verdict_of(run.history())), std::vector{Kind::kCreep});
  HistoryBuilder::lengthen(run.rows()[60], 8192);
  EXPECT_EQ(kinds_of(verdict_of(run.history())), (std::vector{Kind::kCreep, Kind::kSpike}));
}

}  // namespace
}  // namespace rung::monitor
