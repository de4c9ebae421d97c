#include "training/evaluation.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/tiny_run.h"

namespace rung::training {
namespace {

TEST(Evaluation, SaysHowManyExamplesAreDone) {
  const rung::testing::TinyFolder folder(rung::testing::tiny_llama());
  const rung::testing::TinyRun run(folder, {});
  std::vector<data::Example> examples(5);
  for (data::Example& example : examples) example = {.input_ids = {1, 2, 3}, .labels = {1, 2, 3}};
  std::vector<int64_t> done;
  fit::StepSettings settings;
  const Evaluation result = evaluate(
      run.model, examples,
      {.batch_size = 2, .on_progress = [&](int64_t count) { done.push_back(count); }}, settings);
  EXPECT_EQ(done, (std::vector<int64_t>{2, 4, 5}));
  EXPECT_EQ(result.tokens, 10);
}

}  // namespace
}  // namespace rung::training
