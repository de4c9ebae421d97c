#include "fit/step_peaks.h"

#include <algorithm>

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

int64_t StepPeaks::peak(const StepSettings& settings) {
  const auto known = std::ranges::find(found_, settings, &std::pair<StepSettings, int64_t>::first);
  if (known != found_.end()) return known->second;
  return found_.emplace_back(settings, peak_with(shape_, settings)).second;
}

StepPeaks& StepPeaks::streaming(int64_t num_streamed) {
  if (num_streamed == shape_.model.num_streamed) return *this;
  std::unique_ptr<StepPeaks>& known = streaming_[num_streamed];
  if (!known) {
    StepShape shape = shape_;
    shape.model.num_streamed = num_streamed;
    known = std::make_unique<StepPeaks>(std::move(shape));
  }
  return *known;
}

}  // namespace rung::fit
