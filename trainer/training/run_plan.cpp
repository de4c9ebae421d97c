#include "training/run_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/units.h"
#include "training/does_not_fit.h"
#include "training/largest_batch.h"

namespace rung::training {
namespace {

int64_t total_steps(const RunConfig& config, int64_t steps_in_epoch) {
  if (config.max_steps > 0) return config.max_steps;
  return static_cast<int64_t>(std::ceil(config.num_epochs * static_cast<double>(steps_in_epoch)));
}

// As few blocks as fit, or as many as the user chose.
int64_t choose_recompute(const PlanRequest& request, const fit::StepShape& shape) {
  const Recompute& wanted = request.config.gradient_checkpointing;
  const int64_t most = most_recomputed(wanted, request.model);
  std::optional<int64_t> chosen;
  if (wanted.mode == Recompute::Mode::kAuto) {
    chosen = fit::choose_num_recomputed(shape, request.memory_limit);
  } else if (fit::step_peak(shape, most) <= request.memory_limit) {
    chosen = most;
  }
  if (chosen) return *chosen;
  throw_does_not_fit(
      request.config,
      {.what = most == request.model.num_layers
                   ? "a training step does not fit, even with every block recomputed"
                   : fmt::format("a training step with {} of {} recomputed does not fit", most,
                                 format_counted(request.model.num_layers, "block")),
       .peak = fit::step_peak(shape, most),
       .limit = request.memory_limit,
       .hint = memory_advice(request)});
}

// Recomputed blocks keep their dequantised weights for the backward pass, where there is room:
// fewer passes over memory, the same bits.
void share_dequantised(RunPlan& plan, fit::StepShape& shape, int64_t limit) {
  if (plan.num_recomputed == 0 || shape.model.base == model::BaseFormat::kDense) return;
  shape.dequantisation = model::Dequantisation::kOnceABlock;
  const int64_t peak = fit::step_peak(shape, plan.num_recomputed);
  if (peak > limit) return;
  plan.dequantisation = shape.dequantisation;
  plan.train_peak = peak;
}

}  // namespace

int64_t RunPlan::planned_peak() const { return std::max(train_peak, evaluation.peak); }

std::map<std::string, int64_t> RunPlan::planned_by_phase() const {
  std::map<std::string, int64_t> phases = {{"train", train_peak}};
  if (evaluation.peak > 0) phases["eval"] = evaluation.peak;
  return phases;
}

int64_t most_recomputed(const Recompute& wanted, const format::ModelConfig& model) {
  switch (wanted.mode) {
    case Recompute::Mode::kNone:
      return 0;
    case Recompute::Mode::kBlocks:
      return std::min(wanted.num_blocks, model.num_layers);
    case Recompute::Mode::kAuto:
    case Recompute::Mode::kAll:
      break;
  }
  return model.num_layers;
}

data::LoaderOptions loader_options(const RunConfig& config) {
  return {.sequence_len = config.sequence_len,
          .micro_batch_size = config.micro_batch_size,
          .gradient_accumulation_steps = config.gradient_accumulation_steps,
          .sample_packing = config.sample_packing,
          .shuffle = config.shuffle,
          .seed = config.seed};
}

step::StepOptions step_options(const RunConfig& config, const RunPlan& plan) {
  return {.max_grad_norm = config.max_grad_norm,
          .num_recomputed = plan.num_recomputed,
          .dequantisation = plan.dequantisation,
          .seed = config.seed};
}

RunPlan plan_run(const PlanRequest& request) {
  const RunConfig& config = request.config;
  RunPlan plan;
  plan.steps_in_epoch = data::Loader(request.examples, loader_options(config)).steps_in_epoch(0);
  plan.total_steps = total_steps(config, plan.steps_in_epoch);
  plan.schedule = {.kind = config.lr_scheduler,
                   .peak = config.learning_rate,
                   .warmup_steps = step::warmup_steps(config, plan.total_steps),
                   .total_steps = plan.total_steps};
  fit::StepShape shape{.config = request.model,
                       .model = model_options(config, request.model),
                       .adapter = request.adapter,
                       .batch = largest_step(config, request.examples)};
  plan.num_recomputed = choose_recompute(request, shape);
  plan.train_peak = fit::step_peak(shape, plan.num_recomputed);
  share_dequantised(plan, shape, request.memory_limit);
  plan.evaluation = plan_evaluation({.config = config,
                                     .model = request.model,
                                     .adapter = request.adapter,
                                     .beside = fit::Beside::kOptimizer,
                                     .examples = request.validation,
                                     .limit = request.memory_limit});
  return plan;
}

}  // namespace rung::training
