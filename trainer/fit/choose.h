// Which settings of those on the ladder a step starts with.
#pragma once

#include <cstdint>

#include "fit/ladder.h"
#include "fit/step_peaks.h"
#include "fit/step_time.h"

namespace rung::fit {

struct Choice {
  StepSettings settings;
  int64_t peak = 0;       // bytes
  int64_t host_peak = 0;  // bytes of host memory
  bool fits = false;      // false: `settings` is the last rung, and not even that fits
};

// What a choice is made for.
struct ChoiceTarget {
  int64_t limit = 0;  // bytes
  const Work& work;   // whose time is to be short: the whole run's
  DeviceRates rates;
};

// Of all settings that the bounds allow from `start` on and whose step stays within the limit, the
// one with the least predicted time (fit/step_time.h); `start` itself where it fits. It may lie
// between the rungs of the ladder, or beside it. peaks: of the largest step.
Choice choose_settings(StepPeaks& peaks, const StepSettings& start, const LadderBounds& bounds,
                       const ChoiceTarget& target);

// The smallest number of streamed blocks with which the step under `settings` stays within `limit`
// bytes, where with `most` it does.
int64_t choose_num_streamed(StepPeaks& peaks, int64_t most, const StepSettings& settings,
                            int64_t limit);

}  // namespace rung::fit
