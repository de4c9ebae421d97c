#include "training/evaluation_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "fit/ladder.h"
#include "training/does_not_fit.h"
#include "training/largest_batch.h"
#include "training/setup.h"

namespace rung::training {
namespace {

int64_t peak_of(const EvaluationRequest& request, const model::MemorySettings& memory,
                int64_t batch_size) {
  return fit::evaluation_peak({.config = request.model,
                               .model = request.options,
                               .adapter = request.adapter,
                               .optimizer = request.optimizer,
                               .batch = largest_evaluation_batch(request.examples, batch_size),
                               .memory = memory});
}

}  // namespace

std::optional<std::string> EvaluationPlan::note() const {
  if (batch_size == wanted_batch_size) return std::nullopt;
  return fmt::format("evaluation with {} at a time, as {} do not fit",
                     format_counted(batch_size, "example"), format_count(wanted_batch_size));
}

EvaluationPlan choose_evaluation(const EvaluationRequest& request) {
  const RunConfig& config = request.config;
  EvaluationPlan plan;
  plan.wanted_batch_size =
      config.eval_batch_size > 0 ? config.eval_batch_size : config.micro_batch_size;
  plan.batch_size = plan.wanted_batch_size;
  if (request.examples.empty()) return plan;
  plan.memory = request.memory;
  plan.peak = peak_of(request, plan.memory, plan.batch_size);
  if (plan.peak <= request.limit) return plan;
  // The peak falls with the size: `low` fits, `high` does not.
  int64_t low = 1;
  int64_t high = std::min(plan.wanted_batch_size, static_cast<int64_t>(request.examples.size()));
  plan.peak = peak_of(request, plan.memory, low);
  if (plan.peak > request.limit) {
    plan.memory.head_chunk_bytes = std::min(plan.memory.head_chunk_bytes, fit::kLeastHeadChunk);
    plan.peak = peak_of(request, plan.memory, low);
  }
  plan.fits = plan.peak <= request.limit;
  if (!plan.fits) high = low;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    const int64_t peak = peak_of(request, plan.memory, middle);
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

Error evaluation_misfit(const EvaluationRequest& request, const EvaluationPlan& plan) {
  return does_not_fit(request.config,
                      {.what = "an evaluation does not fit, even with one example at a time",
                       .peak = plan.peak,
                       .limit = request.limit,
                       .hint = fmt::format("raise memory_limit by {}, take the longest examples "
                                           "out of the validation data, or do without it",
                                           format_bytes(plan.peak - request.limit))});
}

EvaluationPlan plan_evaluation(const EvaluationRequest& request) {
  EvaluationPlan plan = choose_evaluation(request);
  if (!plan.fits) throw evaluation_misfit(request, plan);
  return plan;
}

}  // namespace rung::training
