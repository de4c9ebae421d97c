#include "fit/step_peaks.h"

#include <algorithm>

#include "data/split.h"

namespace rung::fit {
namespace {

// Documents of which only the longest is known, of a batch in `split` parts. Filled one after
// another to share + longest tokens, every part but the last holds more than its share, so that
// `split` parts are enough: no part of a best cut is larger.
data::MicroBatch largest_packed_part(const data::MicroBatch& rows, int64_t split, int64_t longest) {
  const int64_t most = std::min(rows.num_tokens(), rows.num_tokens() / split + longest);
  const auto end = static_cast<size_t>(most);
  data::MicroBatch part = rows;
  part.input_ids.resize(end);
  part.targets.resize(end);
  part.positions.resize(end);
  size_t count = 1;  // rows, the last of them cut
  while (part.cu_seqlens[count] < most) ++count;
  part.cu_seqlens.resize(count + 1);
  part.cu_seqlens.back() = static_cast<int32_t>(most);
  part.documents.resize(count);
  return part;
}

data::StepBatch largest_part(const StepShape& shape, int64_t split) {
  data::StepBatch parts;
  if (shape.longest_packed > 0 && split > 1) {
    for (const data::MicroBatch& rows : shape.batch.micro_batches) {
      parts.micro_batches.push_back(largest_packed_part(rows, split, shape.longest_packed));
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
