// What is settled before the first step: number of steps, schedule, recomputed blocks, planned
// memory.
#pragma once

#include <cstdint>
#include <span>

#include "base/run_config.h"
#include "data/loader.h"
#include "fit/step_memory.h"
#include "step/schedule.h"
#include "training/setup.h"

namespace rung::training {

struct RunPlan {
  int64_t steps_in_epoch = 0;
  int64_t total_steps = 0;
  step::Schedule schedule;
  int64_t num_recomputed = 0;  // blocks
  int64_t planned_peak = 0;    // bytes of tensors in the largest step
};

data::LoaderOptions loader_options(const RunConfig& config);

// Throws Error: kConfig where there are no steps to take, kDoesNotFit where a step does not fit
// into memory_limit.
RunPlan plan_run(const RunConfig& config, const format::ModelConfig& model,
                 const model::AdapterOptions& adapter, std::span<const data::Example> examples,
                 int64_t memory_limit);

}  // namespace rung::training
