#include "fit/step_peaks.h"

#include <algorithm>

#include "data/split.h"
#include "kernels/ceil_div.h"

namespace rung::fit {
namespace {

// Tokens of the largest of `split` parts of any documents, longest first, that have `total` tokens
// at most and none more than `longest`.
//
// Say that they are filled one after another up to C >= longest, and `split` parts are not enough.
// Then part i of these has s_i tokens, and the next document, the first of part i + 1, has f_i with
// s_i + f_i > C, while f_i <= s_i, because the documents get shorter. So
//   total >= s_1 + ... + s_split + f_split > (split - 1) C / 2 + C, as s_i > C / 2,
//   total > split C - f_1 - ... - f_(split - 1), as the sum of all s_i + f_i is above split C.
// A C for which one of these is false is enough, and no part of the best cut is larger.
int64_t largest_part_of_any(int64_t total, int64_t longest, int64_t split) {
  const int64_t by_halves = std::max(longest, kernels::ceil_div(2 * total, split + 1));
  const int64_t by_longest = kernels::ceil_div(total + (split - 1) * longest, split);
  return std::min({total, by_halves, by_longest});
}

// The first so many tokens of `rows`, for whatever documents they stand.
data::MicroBatch largest_packed_part(const data::MicroBatch& rows, int64_t split,
                                     const std::vector<int64_t>& lengths) {
  const int64_t most = std::min(largest_part_of_any(rows.num_tokens(), lengths.front(), split),
                                data::largest_part(lengths, split));
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
  if (!shape.packed_lengths.empty() && split > 1) {
    for (const data::MicroBatch& rows : shape.batch.micro_batches) {
      parts.micro_batches.push_back(largest_packed_part(rows, split, shape.packed_lengths));
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
