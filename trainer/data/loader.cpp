#include "data/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace rung::data {
namespace {

int64_t count_learnt(const std::vector<int32_t>& targets) {
  return std::count_if(targets.begin(), targets.end(),
                       [](int32_t target) { return target != kIgnore; });
}

void append_document(MicroBatch& batch, const Example& example, int64_t index) {
  const auto length = static_cast<int32_t>(example.num_tokens());
  batch.input_ids.insert(batch.input_ids.end(), example.input_ids.begin(), example.input_ids.end());
  if (length > 0) {
    batch.targets.insert(batch.targets.end(), example.labels.begin() + 1, example.labels.end());
    batch.targets.push_back(kIgnore);  // the document's last token predicts nothing
  }
  for (int32_t position = 0; position < length; ++position) batch.positions.push_back(position);
  batch.cu_seqlens.push_back(batch.cu_seqlens.back() + length);
  batch.documents.push_back(index);
}

}  // namespace

int64_t MicroBatch::num_supervised() const { return count_learnt(targets); }

int64_t StepBatch::num_tokens() const {
  return std::accumulate(
      micro_batches.begin(), micro_batches.end(), int64_t{0},
      [](int64_t sum, const MicroBatch& batch) { return sum + batch.num_tokens(); });
}

int64_t StepBatch::num_supervised() const {
  return std::accumulate(
      micro_batches.begin(), micro_batches.end(), int64_t{0},
      [](int64_t sum, const MicroBatch& batch) { return sum + batch.num_supervised(); });
}

int64_t StepBatch::num_documents() const {
  return std::accumulate(
      micro_batches.begin(), micro_batches.end(), int64_t{0},
      [](int64_t sum, const MicroBatch& batch) { return sum + std::ssize(batch.documents); });
}

Loader::Loader(std::span<const Example> examples, LoaderOptions options)
    : examples_(examples), options_(options) {
  if (examples_.empty()) throw std::invalid_argument("Loader: no examples");
  if (options_.micro_batch_size < 1 || options_.gradient_accumulation_steps < 1) {
    throw std::invalid_argument("Loader: batch sizes must be positive");
  }
  rows_ = rows_of_epoch(0);
}

std::vector<Row> Loader::rows_of_epoch(int64_t epoch) const {
  const auto count = static_cast<int64_t>(examples_.size());
  std::vector<int64_t> order(examples_.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  if (options_.shuffle) order = shuffled_indices(count, options_.seed, epoch);
  if (!options_.sample_packing) {
    std::vector<Row> rows;
    rows.reserve(order.size());
    for (const int64_t index : order) rows.push_back({index});
    return rows;
  }
  std::vector<int64_t> lengths;
  lengths.reserve(examples_.size());
  for (const Example& example : examples_) lengths.push_back(example.num_tokens());
  std::vector<Row> rows = pack_rows(lengths, order, options_.sequence_len);
  if (!options_.shuffle) return rows;
  // pack_rows puts rows of many documents first, which as an order of training would be a bias.
  std::vector<Row> shuffled;
  shuffled.reserve(rows.size());
  const auto num_rows = static_cast<int64_t>(rows.size());
  for (const int64_t row : shuffled_indices(num_rows, mix64(options_.seed), epoch)) {
    shuffled.push_back(std::move(rows[static_cast<size_t>(row)]));
  }
  return shuffled;
}

int64_t Loader::steps_in_epoch(int64_t /*epoch*/) const {
  const int64_t rows_per_step = options_.micro_batch_size * options_.gradient_accumulation_steps;
  return (rows_in_epoch() + rows_per_step - 1) / rows_per_step;
}

StepBatch Loader::next() {
  const int64_t rows_per_step = options_.micro_batch_size * options_.gradient_accumulation_steps;
  const int64_t begin = state_.step_in_epoch * rows_per_step;
  const int64_t end = std::min(begin + rows_per_step, rows_in_epoch());
  StepBatch step{.micro_batches = {}, .epoch = state_.epoch};
  for (int64_t first = begin; first < end; first += options_.micro_batch_size) {
    std::vector<int64_t> documents;
    for (int64_t row = first; row < std::min(first + options_.micro_batch_size, end); ++row) {
      const Row& members = rows_[static_cast<size_t>(row)];
      documents.insert(documents.end(), members.begin(), members.end());
    }
    step.micro_batches.push_back(make_micro_batch(examples_, documents));
  }
  if (++state_.step_in_epoch == steps_in_epoch(state_.epoch)) {
    seek({.epoch = state_.epoch + 1, .step_in_epoch = 0});
  }
  return step;
}

void Loader::seek(LoaderState state) {
  if (state.epoch < 0 || state.step_in_epoch < 0 ||
      state.step_in_epoch >= steps_in_epoch(state.epoch)) {
    throw Error(ExitCode::kDamaged,
                {.what = "the saved position is not in the data",
                 .got = fmt::format("epoch {}, step {}", state.epoch, state.step_in_epoch),
                 .expected = fmt::format("a step in 0..{}", steps_in_epoch(state.epoch) - 1),
                 .hint = "has the data set changed since the checkpoint?"});
  }
  if (state.epoch != state_.epoch) rows_ = rows_of_epoch(state.epoch);
  state_ = state;
}

std::vector<MicroBatch> evaluation_batches(std::span<const Example> examples, int64_t batch_size) {
  std::vector<MicroBatch> batches;
  const auto count = static_cast<int64_t>(examples.size());
  for (int64_t first = 0; first < count; first += batch_size) {
    std::vector<int64_t> indices(static_cast<size_t>(std::min(batch_size, count - first)));
    std::iota(indices.begin(), indices.end(), first);
    batches.push_back(make_micro_batch(examples, indices));
  }
  return batches;
}

MicroBatch make_micro_batch(std::span<const Example> examples, std::span<const int64_t> indices) {
  MicroBatch batch;
  batch.cu_seqlens.push_back(0);
  for (const int64_t index : indices) {
    append_document(batch, examples[static_cast<size_t>(index)], index);
  }
  return batch;
}

}  // namespace rung::data
