#include "fit/choose.h"

#include <algorithm>
#include <optional>

#include "data/split.h"

namespace rung::fit {
namespace {

// Documents whose lengths are not known, of a batch in `split` parts: no part of a best cut is
// larger than its share and the longest document together.
data::MicroBatch largest_packed_part(const data::MicroBatch& rows, int64_t split) {
  const int64_t count = std::ssize(rows.documents);
  const int64_t most = std::min(count, count / split + 1);
  const auto end = static_cast<size_t>(rows.cu_seqlens[static_cast<size_t>(most)]);
  data::MicroBatch part = rows;
  part.input_ids.resize(end);
  part.targets.resize(end);
  part.positions.resize(end);
  part.cu_seqlens.resize(static_cast<size_t>(most) + 1);
  part.documents.resize(static_cast<size_t>(most));
  return part;
}

data::StepBatch largest_part(const StepShape& shape, int64_t split) {
  data::StepBatch parts;
  if (shape.is_packed && split > 1) {
    for (const data::MicroBatch& rows : shape.batch.micro_batches) {
      parts.micro_batches.push_back(largest_packed_part(rows, split));
    }
  } else {
    parts = data::split_step(shape.batch, split);
  }
  const auto largest =
      std::ranges::max_element(parts.micro_batches, {}, &data::MicroBatch::num_tokens);
  return {.micro_batches = {*largest}, .epoch = shape.batch.epoch};
}

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

StepShape with_settings(const StepShape& shape, const StepSettings& settings) {
  StepShape result = shape;
  result.memory = settings.memory;
  result.batch = largest_part(shape, settings.split);
  return result;
}

int64_t peak_with(const StepShape& shape, const StepSettings& settings) {
  return step_peak(with_settings(shape, settings));
}

namespace {

Choice climb(const StepShape& shape, const StepSettings& start, const LadderBounds& bounds,
             int64_t limit) {
  Choice choice{.settings = start, .peak = peak_with(shape, start)};
  while (choice.peak > limit) {
    const std::optional<StepSettings> next = next_rung(choice.settings, bounds);
    if (!next) return choice;
    choice.settings = *next;
    choice.peak = peak_with(shape, *next);
  }
  choice.fits = true;
  const int64_t fewest =
      smallest(start.memory.num_recomputed, choice.settings.memory.num_recomputed,
               [&](int64_t num_recomputed) {
                 return peak_with(shape, recomputing(choice.settings, num_recomputed)) <= limit;
               });
  choice.settings.memory.num_recomputed = fewest;
  choice.peak = peak_with(shape, choice.settings);
  return choice;
}

}  // namespace

Choice choose_rung(const StepShape& shape, const StepSettings& start, const LadderBounds& bounds,
                   int64_t limit) {
  Choice choice = climb(shape, start, bounds, limit);
  choice.host_peak = host_peak(with_settings(shape, choice.settings));
  return choice;
}

int64_t choose_num_streamed(const StepShape& shape, const StepSettings& settings, int64_t limit) {
  const auto fits = [&](int64_t num_streamed) {
    StepShape candidate = shape;
    candidate.model.num_streamed = num_streamed;
    return peak_with(candidate, settings) <= limit;
  };
  // One and two blocks save nothing: they have a place each.
  return fits(0) ? 0 : smallest(0, shape.model.num_streamed, fits);
}

}  // namespace rung::fit
