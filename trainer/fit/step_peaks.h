// What a step takes on the rungs of its ladder.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "fit/ladder.h"
#include "fit/step_memory.h"

namespace rung::fit {

// `shape` under `settings` (in place of shape.memory): its batch is the largest part.
StepShape with_settings(const StepShape& shape, const StepSettings& settings);

// step_peak() of that.
int64_t peak_with(const StepShape& shape, const StepSettings& settings);

// Remembers peak_with(): a plan asks for the same steps again and again, for every row of its
// ladder and every GPU of a table, and each takes tens of milliseconds for a large model.
class StepPeaks {
 public:
  explicit StepPeaks(StepShape shape) : shape_(std::move(shape)) {}

  const StepShape& shape() const { return shape_; }
  // Bytes.
  int64_t peak(const StepSettings& settings);
  // Of the same step with so many blocks streamed.
  StepPeaks& streaming(int64_t num_streamed);

 private:
  StepShape shape_;
  std::vector<std::pair<StepSettings, int64_t>> found_;      // some dozens
  std::map<int64_t, std::unique_ptr<StepPeaks>> streaming_;  // by number of blocks
};

}  // namespace rung::fit
