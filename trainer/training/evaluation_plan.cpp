#include "training/evaluation_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "training/does_not_fit.h"
#include "training/largest_batch.h"
#include "training/setup.h"

namespace rung::training {
namespace {

int64_t peak_of(const EvaluationRequest& request, int64_t batch_size) {
  return fit::evaluation_peak({.config = request.model,
                               .model = request.options,
                               .adapter = request.adapter,
                               .optimizer = request.optimizer,
                               .batch = largest_evaluation_batch(request.examples, batch_size),
                               .mlp_tile = request.mlp_tile});
}

}  // namespace

std::optional<std::string> EvaluationPlan::note() const {
  if (batch_size == wanted_batch_size) return std::nullopt;
  return fmt::format("evaluation with {} at a time, as {} do not fit",
                     format_counted(batch_size, "example"), format_count(wanted_batch_size));
}

EvaluationPlan plan_evaluation(const EvaluationRequest& request) {
  const RunConfig& config = request.config;
  EvaluationPlan plan;
  plan.wanted_batch_size =
      config.eval_batch_size > 0 ? config.eval_batch_size : config.micro_batch_size;
  plan.batch_size = plan.wanted_batch_size;
  if (request.examples.empty()) return plan;
  plan.peak = peak_of(request, plan.batch_size);
  if (plan.peak <= request.limit) return plan;
  // The peak falls with the size: `low` fits, `high` does not.
  int64_t low = 1;
  int64_t high = std::min(plan.wanted_batch_size, static_cast<int64_t>(request.examples.size()));
  plan.peak = peak_of(request, low);
  if (plan.peak > request.limit) {
    throw_does_not_fit(
        config, {.what = "an evaluation does not fit, even with one example at a time",
                 .peak = plan.peak,
                 .limit = request.limit,
                 .hint = "lower sequence_len, or take the longest examples out of the validation "
                         "data"});
  }
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    const int64_t peak = peak_of(request, middle);
    if (peak <= request.limit) {
      low = middle;
      plan.peak = peak;
    } else {
      high = middle;
    }
  }
  plan.batch_size = low;
  return plan;
}

}  // namespace rung::training
