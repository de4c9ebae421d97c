// A leak is planted into the record of a sound run, or what only looks like one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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
using rung::testing::text_of;

TEST(Creep, IsARiseOfWhatStaysLive) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "block_inputs", step.step * 3 * kMiB);
  expect_only(run.history(), Kind::kCreep,
              {"grows by 3.0 MiB a step", "steps 6 to 100", "99.99 % sure", "\"block_inputs\""});
}

TEST(Creep, IsSeenWithinSeventeenSteps) {
  HistoryBuilder run;
  run.steps(17);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "activations", step.step * 3 * kMiB);
  expect_only(run.history(), Kind::kCreep, {"grows by 3.0 MiB a step"});
}

TEST(Creep, SaysWhenTheLimitIsReached) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", step.step * 100 * kMiB);
  const Verdict verdict = verdict_of(run.history());
  ASSERT_EQ(verdict.kind, Kind::kCreep) << text_of(verdict);
  const Finding& creep = verdict.findings.at(0);
  EXPECT_EQ(creep.harm, Harm::kThreat);
  // 23 GiB less 0.5 of the context; at step 100 5 GiB stay, about 1 GiB comes on top, 9.8 leaked.
  const int64_t reached = creep.figures["step_at_limit"].get<int64_t>();
  EXPECT_GT(reached, 155);
  EXPECT_LT(reached, 180);
  EXPECT_NE(verdict.evidence.find("the limit of 22.5 GiB is reached near step 1"),
            std::string::npos);
}

TEST(Creep, SaysThatTheRunEndsFirst) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", step.step * kMiB);
  const Verdict verdict = verdict_of(run.history());
  EXPECT_EQ(verdict.findings.at(0).harm, Harm::kNone) << text_of(verdict);
  EXPECT_NE(verdict.evidence.find("ends before the limit"), std::string::npos);
}

TEST(Creep, MayComeWithEvaluationsOnly) {
  HistoryBuilder run;
  run.steps(300);
  for (Step& step : run.rows()) {
    HistoryBuilder::leak(step, "kv_cache", (step.step - 1) / 25 * 60 * kMiB);
  }
  expect_only(run.history(), Kind::kCreep, {"\"kv_cache\""});
}

TEST(Creep, MayBeginLate) {
  HistoryBuilder run;
  run.steps(200);
  for (Step& step : run.rows()) {
    HistoryBuilder::leak(step, "head", std::max<int64_t>(0, step.step - 140) * 2 * kMiB);
  }
  expect_only(run.history(), Kind::kCreep, {"grows by 2.0 MiB a step", "\"head\""});
}

TEST(Creep, IsToldApartFromShapesThatGrowWithIt) {
  HistoryBuilder run;
  run.steps(150);
  std::ranges::sort(run.rows(), {},
                    [](const Step& step) { return step.largest_micro_batch.tokens; });
  for (size_t i = 0; i < run.rows().size(); ++i) {
    run.rows()[i].step = static_cast<int64_t>(i) + 1;
    run.rows()[i].memory_reserved = 8 * kGiB;
  }
  run.history().starts.back().memory_planned = 8 * kGiB;
  const RunHistory sound = run.history();
  expect_healthy(sound);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", step.step * 4 * kMiB);
  EXPECT_EQ(verdict_of(run.history()).kind, Kind::kCreep);
}

// Batches that grow longer in the course of a run.
HistoryBuilder growing_batches() {
  HistoryBuilder run;
  run.steps(200);
  for (Step& step : run.rows()) step.largest_micro_batch.tokens += 20 * step.step;
  return run;
}

TEST(Creep, IsNotWhatTheBatchExplains) {
  // Something of the batch is kept until the next one.
  HistoryBuilder run = growing_batches();
  run.rows()[6].largest_micro_batch.tokens = 9000;  // so that the largest so far explains nothing
  for (Step& step : run.rows()) {
    HistoryBuilder::leak(step, "head", step.largest_micro_batch.tokens * 40 * 1024);
  }
  expect_healthy(run.history());
}

TEST(Creep, IsNotABufferForTheLargestBatchSoFar) {
  HistoryBuilder run = growing_batches();
  int64_t largest = 0;
  for (Step& step : run.rows()) {
    largest = std::max(largest, step.largest_micro_batch.tokens);
    HistoryBuilder::leak(step, "workspace", largest * 200 * 1024);
  }
  expect_healthy(run.history());
}

TEST(Creep, IsNotScatter) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::uniform_int_distribution<Bytes> scatter(0, 40 * kMiB);
    HistoryBuilder run;
    run.steps(40);
    for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", scatter(random));
    expect_healthy(run.history());
  }
}

TEST(Creep, IsNotARiseThatDrownsInScatter) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::uniform_int_distribution<Bytes> scatter(0, 400 * kMiB);
    HistoryBuilder run;
    run.steps(200);
    for (Step& step : run.rows()) {
      HistoryBuilder::leak(step, "other", scatter(random) + step.step * kMiB);
    }
    expect_healthy(run.history());
  }
}

TEST(Creep, IsNotLessThanAnybodyLacks) {
  HistoryBuilder run;
  run.steps(200);
  HistoryBuilder small = run;
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", step.step * 5 * 1024);
  expect_healthy(run.history());  // 1 MiB beside 5 GiB
  for (Step& step : small.rows()) {
    step.memory_live = kMiB + step.step * 200;
    step.memory_peak = 2 * kMiB;
  }
  expect_healthy(small.history());  // 39 KiB
}

TEST(Creep, IsNotACacheThatFills) {
  HistoryBuilder run;
  run.steps(200);
  for (Step& step : run.rows()) {
    const double filled = 1.0 - std::exp(-static_cast<double>(step.step) / 25.0);
    HistoryBuilder::leak(step, "other", static_cast<Bytes>(filled * 100.0) * kMiB);
  }
  expect_healthy(run.history());
}

TEST(Creep, IsNotTheFirstSteps) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) {
    HistoryBuilder::leak(step, "optimizer", std::min<int64_t>(step.step, 12) * 50 * kMiB);
  }
  expect_healthy(run.history());
}

TEST(Creep, IsNotOneJump) {
  for (const int64_t jump : {20, 50, 99, 100, 101, 120, 170, 195}) {
    SCOPED_TRACE(jump);
    HistoryBuilder run;
    run.steps(200);
    for (Step& step : run.rows()) {
      if (step.step >= jump) HistoryBuilder::leak(step, "other", 300 * kMiB);
    }
    expect_healthy(run.history());
  }
}

TEST(Creep, IsNotALevelThatEndsOrFalls) {
  HistoryBuilder run;
  run.steps(200);
  for (Step& step : run.rows()) {
    HistoryBuilder::leak(step, "other", (200 - step.step) * kMiB);
    step.memory_reserved = 7 * kGiB;
  }
  expect_healthy(run.history());
}

TEST(Creep, IsNotAResumeOnAnotherLevel) {
  for (const Bytes level : {-500 * kMiB, 500 * kMiB}) {
    HistoryBuilder run;
    run.steps(60).start(50).steps(60).start(110).steps(60);
    for (Step& step : run.rows()) {
      if (step.step > 50) HistoryBuilder::leak(step, "other", level);
      if (step.step > 110) HistoryBuilder::leak(step, "other", level);
    }
    expect_healthy(run.history());
  }
}

TEST(Creep, GoesOnAfterAResume) {
  HistoryBuilder run;
  run.steps(60).start(50).steps(60);
  for (Step& step : run.rows()) {
    const int64_t since = step.step > 50 ? step.step - 50 : step.step;
    HistoryBuilder::leak(step, "activations", since * 2 * kMiB);
  }
  expect_only(run.history(), Kind::kCreep, {"steps 56 to 110"});
}

TEST(Creep, OfAnEarlierProcessMeetsNoLimit) {
  HistoryBuilder run;
  run.steps(100).start(100).steps(30);
  for (Step& step : run.rows()) {
    if (step.step <= 100) HistoryBuilder::leak(step, "other", step.step * 100 * kMiB);
  }
  const Verdict verdict = verdict_of(run.history());
  ASSERT_EQ(verdict.kind, Kind::kCreep) << text_of(verdict);
  EXPECT_EQ(verdict.findings.at(0).harm, Harm::kNone);
  EXPECT_TRUE(verdict.findings.at(0).figures["step_at_limit"].is_null());
  EXPECT_NE(verdict.evidence.find("grew by 100.0 MiB a step in an earlier process"),
            std::string::npos)
      << verdict.evidence;
  EXPECT_EQ(verdict.evidence.find("is reached"), std::string::npos) << verdict.evidence;
}

TEST(Creep, OfARunThatEndedMeetsNoLimit) {
  HistoryBuilder run;
  run.steps(100);
  for (Step& step : run.rows()) HistoryBuilder::leak(step, "other", step.step * 100 * kMiB);
  run.history().outcome = {.exit_code = 75, .exit_reason = "stopped"};
  const Verdict verdict = verdict_of(run.history());
  EXPECT_EQ(verdict.findings.at(0).harm, Harm::kNone) << text_of(verdict);
  EXPECT_EQ(verdict.evidence.find("is reached"), std::string::npos) << verdict.evidence;
}

TEST(Creep, IsNotAChangedRung) {
  HistoryBuilder run;
  run.steps(200);
  run.history().out_of_memory = {
      {.step = 60, .during = "step 61 (16 documents)", .reason = "full", .is_again = true},
      {.step = 60, .during = "step 61 (16 documents)", .reason = "full", .to = "2 parts"},
      {.step = 120, .during = "the evaluation", .reason = "full", .to = "4 parts"}};
  for (Step& step : run.rows()) {
    const Bytes level = step.step > 120 ? 800 : step.step > 60 ? 400 : 0;
    HistoryBuilder::leak(step, "block_inputs", level * kMiB);
  }
  const Verdict verdict = verdict_of(run.history());
  EXPECT_EQ(kinds_of(verdict), std::vector{Kind::kOutOfMemory}) << text_of(verdict);
}

}  // namespace
}  // namespace rung::monitor
