#include "fit/choose.h"

#include <optional>

namespace rung::fit {
namespace {

// The smallest number from `low` to `high` that fits, where `high` does. The peak falls as blocks
// are recomputed or streamed, so the boundary can be bisected.
template <typename Fits>
int64_t smallest(int64_t low, int64_t high, const Fits& fits) {
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (fits(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

StepSettings recomputing(StepSettings settings, int64_t num_recomputed) {
  settings.memory.num_recomputed = num_recomputed;
  return settings;
}

}  // namespace

Choice choose_rung(StepPeaks& peaks, const StepSettings& start, const LadderBounds& bounds,
                   int64_t limit) {
  Choice choice{.settings = start, .peak = peaks.peak(start)};
  while (choice.peak > limit) {
    const std::optional<StepSettings> next = next_rung(choice.settings, bounds);
    if (!next) return choice;
    choice.settings = *next;
    choice.peak = peaks.peak(*next);
  }
  choice.fits = true;
  const int64_t fewest =
      smallest(start.memory.num_recomputed, choice.settings.memory.num_recomputed,
               [&](int64_t num_recomputed) {
                 return peaks.peak(recomputing(choice.settings, num_recomputed)) <= limit;
               });
  choice.settings.memory.num_recomputed = fewest;
  choice.peak = peaks.peak(choice.settings);
  return choice;
}

int64_t choose_num_streamed(StepPeaks& peaks, int64_t most, const StepSettings& settings,
                            int64_t limit) {
  const auto fits = [&](int64_t num_streamed) {
    return peaks.streaming(num_streamed).peak(settings) <= limit;
  };
  // One and two blocks save nothing: they have a place each.
  return fits(0) ? 0 : smallest(0, most, fits);
}

}  // namespace rung::fit
