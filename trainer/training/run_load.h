// All that a run computes, whatever the device: its steps, micro-batches and tokens.
#pragma once

#include <cstdint>

#include "fit/step_time.h"

namespace rung::training {

struct PlanRequest;

struct RunLoad {
  int64_t steps_in_epoch = 0;
  int64_t steps = 0;
  double micro_batches = 0.0;  // before any is split
  fit::StepCounts counts;      // of all documents, as often as they are taken
};

RunLoad load_of(const PlanRequest& request);

// The same with a model that is loaded as `model` has it. Refers to the request and to `model`.
fit::Work work_of(const RunLoad& load, const PlanRequest& request,
                  const model::ModelOptions& model);

}  // namespace rung::training
