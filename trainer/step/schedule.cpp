#include "step/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace rung::step {

double learning_rate(const Schedule& schedule, int64_t step) {
  if (step < schedule.warmup_steps) {
    return schedule.peak * static_cast<double>(step) /
           static_cast<double>(std::max<int64_t>(1, schedule.warmup_steps));
  }
  if (schedule.kind == LrScheduler::kConstant) return schedule.peak;
  const double left =
      std::max<double>(1.0, static_cast<double>(schedule.total_steps - schedule.warmup_steps));
  const double done = std::min(1.0, static_cast<double>(step - schedule.warmup_steps) / left);
  if (schedule.kind == LrScheduler::kLinear) return schedule.peak * (1.0 - done);
  return schedule.peak * 0.5 * (1.0 + std::cos(std::numbers::pi * done));
}

int64_t warmup_steps(const RunConfig& config, int64_t total_steps) {
  if (config.warmup_ratio == 0.0) return config.warmup_steps;
  return static_cast<int64_t>(std::ceil(config.warmup_ratio * static_cast<double>(total_steps)));
}

}  // namespace rung::step
