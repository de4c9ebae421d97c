// Plans for a GPU that is not there: host memory, sums in a fixed order, and what is chosen.
#include "training/run_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/expect_error.h"
#include "tests/training/planned_rows.h"
#include "training/plan_report.h"

namespace rung::training {
namespace {

using model::Checkpoints;
using rung::testing::error_of;
using rung::testing::kUnlimited;

class GpuPlan : public rung::testing::PlannedRows {
 protected:
  GpuPlan()
      : PlannedRows(rung::testing::deep_llama(8),
                    {.count = 8, .length = 256, .micro_batch_size = 4}) {
    config_.lora_r = 4;
  }

  PlanRequest request(int64_t limit, int64_t host_limit = 0) {
    PlanRequest plan = PlannedRows::request(limit);
    plan.device = c10::kCUDA;
    plan.num_multiprocessors = 128;
    plan.host_limit = host_limit;
    return plan;
  }
};

TEST_F(GpuPlan, DoesWithoutTheHostWhereItHasNoRoom) {
  EXPECT_TRUE(plan_step(request(kUnlimited)).bounds.has_own_memory);
  const StepPlan roomy = plan_step(request(kUnlimited, int64_t{1} << 30));
  EXPECT_TRUE(roomy.bounds.has_own_memory);
  const StepPlan tight = plan_step(request(0, 4096));
  EXPECT_FALSE(tight.bounds.has_own_memory);
  EXPECT_EQ(tight.choice.settings.memory.checkpoints, Checkpoints::kOnDevice);
}

TEST_F(GpuPlan, RefusesAnOffloadingThatTheHostCannotHold) {
  config_.activation_offloading = true;
  config_.gradient_checkpointing = {.mode = Recompute::Mode::kAll};
  const RunPlan fits = plan_run(request(kUnlimited));
  EXPECT_GT(fits.host_peak, 8 * 4 * 256 * 32 * 2 / 2);
  const std::string message =
      error_of(ExitCode::kDoesNotFit, [&] { plan_run(request(kUnlimited, fits.host_peak - 1)); });
  EXPECT_NE(message.find("keeps in host memory does not fit"), std::string::npos) << message;
  EXPECT_NE(message.find("do without activation_offloading, or free"), std::string::npos)
      << message;
  EXPECT_NO_THROW(plan_run(request(kUnlimited, fits.host_peak)));
}

TEST_F(GpuPlan, TheReportRefusesWhatTheRunWould) {
  config_.activation_offloading = true;
  config_.gradient_checkpointing = {.mode = Recompute::Mode::kAll};
  const PlanReport report =
      make_plan_report({.plan = request(kUnlimited, 4096), .device = "GPU", .times = "none"});
  EXPECT_FALSE(report.fits);
  EXPECT_NE(report.advice.find("host memory"), std::string::npos) << report.advice;
}

TEST_F(GpuPlan, SaysWhatAFixedOrderOfSumsTakes) {
  config_.deterministic = true;
  config_.micro_batch_size = 1;
  const PlanRequest plan = request(kUnlimited);
  const RunPlan fixed = plan_run(plan);
  const auto note = deterministic_note(plan, fixed);
  ASSERT_TRUE(note);
  EXPECT_NE(note->find("MiB more"), std::string::npos) << *note;
  config_.compute_dtype = ComputeDtype::kFp32;  // whose sums have one order anyway
  EXPECT_FALSE(deterministic_note(request(kUnlimited), plan_run(request(kUnlimited))));
  config_.compute_dtype = ComputeDtype::kBf16;
  config_.deterministic = false;
  EXPECT_LT(plan_run(request(kUnlimited)).train_peak, fixed.train_peak);
}

// Rows of 2,048 tokens on a Hopper chip.
class LongRows : public rung::testing::PlannedRows {
 protected:
  LongRows()
      : PlannedRows(rung::testing::deep_llama(2),
                    {.count = 2, .length = 2048, .micro_batch_size = 1}) {
    config_.lora_r = 4;
    config_.sequence_len = 2048;
    config_.compute_dtype = ComputeDtype::kBf16;
  }

  RunPlan plan(int64_t architecture = 90) {
    PlanRequest request = PlannedRows::request(kUnlimited);
    request.device = c10::kCUDA;
    request.num_multiprocessors = 132;
    request.architecture = architecture;
    return plan_run(request);
  }
};

TEST_F(LongRows, GoToCudnnAndThePlanSaysSo) {
  const RunPlan hopper = plan();
  EXPECT_EQ(hopper.model.cudnn_attention_length, 2048);
  const auto note = attention_note(hopper.model);
  ASSERT_TRUE(note);
  EXPECT_NE(note->find("cuDNN's where all documents of a micro-batch have 2048 tokens"),
            std::string::npos)
      << *note;
  EXPECT_EQ(plan(80).model.cudnn_attention_length, 0) << "Ampere";
  EXPECT_FALSE(attention_note(plan(80).model));
}

TEST_F(LongRows, StayWithFlashWhereThatIsWantedOrNeeded) {
  config_.attention = "flash";
  EXPECT_EQ(plan().model.cudnn_attention_length, 0);
  config_.attention = "auto";
  config_.deterministic = true;
  EXPECT_EQ(plan().model.cudnn_attention_length, 0) << "cuDNN's sums have no fixed order";
  config_.deterministic = false;
  config_.compute_dtype = ComputeDtype::kFp32;
  EXPECT_EQ(plan().model.cudnn_attention_length, 0);
}

// The arrow of `rung plan` stands at the quickest of the rungs that fit.
TEST_F(GpuPlan, TheChosenRungIsTheQuickestThatFits) {
  PlanRequest plan = request(kUnlimited);
  plan.rates = fit::DeviceRates{
      .flops_per_second = 1e12, .memory_bandwidth = 1e11, .transfer_bandwidth = 1e10};
  const int64_t most = plan_step(plan).choice.peak;
  plan.memory_limit = 0;
  const int64_t least = plan_step(plan).choice.peak;
  ASSERT_LT(least, most);
  for (int i = 0; i <= 4; ++i) {
    plan.memory_limit = least + (most - least) * i / 4;
    const PlanReport report = make_plan_report({.plan = plan, .device = "GPU", .times = "given"});
    const auto chosen = std::ranges::find(report.rungs, true, &PlannedRung::is_chosen);
    ASSERT_NE(chosen, report.rungs.end()) << i;
    for (const PlannedRung& rung : report.rungs) {
      if (rung.fits) EXPECT_GE(*chosen->tokens_per_second, *rung.tokens_per_second) << rung.name;
    }
  }
}

TEST_F(GpuPlan, HasNoTimesOfTheTableInFp32) {
  const fit::Gpu gpu{.name = "card",
                     .memory = int64_t{24} << 30,
                     .num_multiprocessors = 128,
                     .flops_per_second = 1e14,
                     .memory_bandwidth = 1e12,
                     .transfer_bandwidth = 25e9,
                     .price_per_hour = 1.0};
  EXPECT_FALSE(rates_on(gpu, c10::kFloat));
  const auto hours = [&] {
    return make_plan_report(
               {.plan = request(kUnlimited), .device = "CPU", .gpus = {gpu}, .times = ""})
        .gpus.at(0)
        .hours;
  };
  EXPECT_TRUE(hours());
  config_.compute_dtype = ComputeDtype::kFp32;
  EXPECT_FALSE(hours());
}

}  // namespace
}  // namespace rung::training
