#include "training/run_plan.h"

#include <algorithm>
#include <cmath>

#include "training/largest_batch.h"

namespace rung::training {
namespace {

int64_t total_steps(const RunConfig& config, int64_t steps_in_epoch) {
  if (config.max_steps > 0) return config.max_steps;
  return static_cast<int64_t>(std::ceil(config.num_epochs * static_cast<double>(steps_in_epoch)));
}

int64_t choose_recompute(const RunConfig& config, const fit::StepShape& shape, int64_t limit) {
  const int64_t num_blocks = shape.config.num_layers;
  switch (config.gradient_checkpointing.mode) {
    case Recompute::Mode::kAuto:
      return fit::choose_num_recomputed(shape, limit);
    case Recompute::Mode::kAll:
      return num_blocks;
    case Recompute::Mode::kNone:
      return 0;
    case Recompute::Mode::kBlocks:
      return std::min(config.gradient_checkpointing.num_blocks, num_blocks);
  }
  return num_blocks;
}

}  // namespace

data::LoaderOptions loader_options(const RunConfig& config) {
  return {.sequence_len = config.sequence_len,
          .micro_batch_size = config.micro_batch_size,
          .gradient_accumulation_steps = config.gradient_accumulation_steps,
          .sample_packing = config.sample_packing,
          .shuffle = config.shuffle,
          .seed = config.seed};
}

RunPlan plan_run(const RunConfig& config, const format::ModelConfig& model,
                 const model::AdapterOptions& adapter, std::span<const data::Example> examples,
                 int64_t memory_limit) {
  RunPlan plan;
  plan.steps_in_epoch = data::Loader(examples, loader_options(config)).steps_in_epoch(0);
  plan.total_steps = total_steps(config, plan.steps_in_epoch);
  plan.schedule = {.kind = config.lr_scheduler,
                   .peak = config.learning_rate,
                   .warmup_steps = step::warmup_steps(config, plan.total_steps),
                   .total_steps = plan.total_steps};
  const fit::StepShape shape{.config = model,
                             .model = model_options(config, model),
                             .adapter = adapter,
                             .batch = largest_step(config, examples)};
  plan.num_recomputed = choose_recompute(config, shape, memory_limit);
  plan.planned_peak = fit::step_memory(shape, plan.num_recomputed).peak;
  return plan;
}

}  // namespace rung::training
