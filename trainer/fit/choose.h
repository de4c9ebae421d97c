// Which rung of the ladder a step starts on.
#pragma once

#include <cstdint>

#include "fit/ladder.h"
#include "fit/step_peaks.h"

namespace rung::fit {

struct Choice {
  StepSettings settings;
  int64_t peak = 0;   // bytes
  bool fits = false;  // false: `settings` is the last rung, and not even that fits
};

// The first rung from `start` on whose step stays within `limit` bytes, with no more blocks
// recomputed than it takes.
Choice choose_rung(StepPeaks& peaks, const StepSettings& start, const LadderBounds& bounds,
                   int64_t limit);

// The smallest number of streamed blocks with which the step under `settings` stays within `limit`
// bytes, where with `most` it does.
int64_t choose_num_streamed(StepPeaks& peaks, int64_t most, const StepSettings& settings,
                            int64_t limit);

}  // namespace rung::fit
