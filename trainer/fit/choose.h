// Which rung of the ladder a step starts on.
#pragma once

#include <cstdint>

#include "fit/ladder.h"
#include "fit/step_memory.h"

namespace rung::fit {

// `shape` under `settings` (in place of shape.memory): its batch is the largest part.
StepShape with_settings(const StepShape& shape, const StepSettings& settings);

// step_peak() of that.
int64_t peak_with(const StepShape& shape, const StepSettings& settings);

struct Choice {
  StepSettings settings;
  int64_t peak = 0;       // bytes
  int64_t host_peak = 0;  // bytes of host memory
  bool fits = false;      // false: `settings` is the last rung, and not even that fits
};

// The first rung from `start` on whose step stays within `limit` bytes, with no more blocks
// recomputed than it takes.
Choice choose_rung(const StepShape& shape, const StepSettings& start, const LadderBounds& bounds,
                   int64_t limit);

// The smallest number of streamed blocks with which the step under `settings` stays within `limit`
// bytes, where with shape.model.num_streamed it does.
int64_t choose_num_streamed(const StepShape& shape, const StepSettings& settings, int64_t limit);

}  // namespace rung::fit
