#include "training/evaluation_plan.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/counting.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_transformer.h"
#include "training/largest_batch.h"

namespace rung::training {
namespace {

using rung::testing::expect_error;
using rung::testing::TinyFolder;

class PlanEvaluation : public ::testing::Test {
 protected:
  PlanEvaluation() {
    config_.adapter = AdapterKind::kLora;
    config_.compute_dtype = ComputeDtype::kFp32;
    config_.sequence_len = 128;
    config_.eval_batch_size = 8;
  }

  EvaluationPlan plan(int64_t limit) const {
    return plan_evaluation({.config = config_,
                            .model = folder_.config(),
                            .options = options_,
                            .adapter = {},
                            .examples = examples_,
                            .limit = limit});
  }
  // Of the largest batch of so many examples.
  int64_t peak(int64_t batch_size) const {
    RunConfig config = config_;
    config.eval_batch_size = batch_size;
    return plan_evaluation({.config = config,
                            .model = folder_.config(),
                            .options = options_,
                            .adapter = {},
                            .examples = examples_,
                            .limit = int64_t{1} << 40})
        .peak;
  }

  static constexpr int64_t kUnlimited = int64_t{1} << 40;
  RunConfig config_;
  model::ModelOptions options_{.base = model::BaseFormat::kDense, .max_positions = 128};
  TinyFolder folder_{rung::testing::tiny_llama()};
  std::vector<data::Example> examples_ = rung::testing::random_examples(
      std::vector<int64_t>{5, 120, 7, 90, 60, 100, 12, 80, 33, 41}, 3);
};

TEST_F(PlanEvaluation, TakesWhatIsWantedWhereItFits) {
  const EvaluationPlan wanted = plan(peak(8));
  EXPECT_EQ(wanted.batch_size, 8);
  EXPECT_EQ(wanted.peak, peak(8));
  EXPECT_EQ(wanted.note(), std::nullopt);
}

TEST_F(PlanEvaluation, TakesTheMostThatFit) {
  for (int64_t size = 1; size < 8; ++size) {
    ASSERT_LT(peak(size), peak(size + 1));
    for (const int64_t limit : {peak(size), peak(size + 1) - 1}) {
      const EvaluationPlan lowered = plan(limit);
      EXPECT_EQ(lowered.batch_size, size);
      EXPECT_EQ(lowered.peak, peak(size));
    }
  }
}

TEST_F(PlanEvaluation, SaysWhatItLowered) {
  EXPECT_EQ(plan(peak(3)).note(), "evaluation with 3 examples at a time, as 8 do not fit");
}

TEST_F(PlanEvaluation, RefusesWhereOneExampleDoesNotFit) {
  expect_error(ExitCode::kDoesNotFit, "an evaluation does not fit, even with one example at a time",
               [&] { plan(peak(1) - 1); });
}

TEST_F(PlanEvaluation, TheMicroBatchSizeIsTheDefault) {
  config_.eval_batch_size = 0;
  config_.micro_batch_size = 3;
  EXPECT_EQ(plan(kUnlimited).batch_size, 3);
}

TEST_F(PlanEvaluation, NothingToEvaluateTakesNothing) {
  examples_.clear();
  EXPECT_EQ(plan(1).peak, 0);
}

TEST(LargestEvaluationBatch, IsOfTheLongestAndLearnsAll) {
  const auto examples = rung::testing::random_examples(std::vector<int64_t>{5, 20, 7, 9}, 3);
  const data::MicroBatch batch = largest_evaluation_batch(examples, 2);
  EXPECT_EQ(batch.cu_seqlens, (std::vector<int32_t>{0, 20, 29}));
  EXPECT_EQ(batch.num_supervised(), 27);  // the last token of each predicts nothing
  EXPECT_EQ(largest_evaluation_batch(examples, 9).num_tokens(), 41);
}

}  // namespace
}  // namespace rung::training
