// The learning rate of each optimizer step.
#pragma once

#include <cstdint>

#include "base/run_config.h"

namespace rung::step {

struct Schedule {
  LrScheduler kind = LrScheduler::kCosine;
  double peak = 0.0;  // learning rate per optimizer step
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;
};

// The rate of step `step` (0 for the first), as transformers' get_*_schedule gives it: a linear
// rise from 0 over warmup_steps, then constant, a line to 0, or half a cosine to 0 over the steps
// that are left.
double learning_rate(const Schedule& schedule, int64_t step);

// warmup_steps, or warmup_ratio of total_steps rounded up (as transformers does).
int64_t warmup_steps(const RunConfig& config, int64_t total_steps);

}  // namespace rung::step
