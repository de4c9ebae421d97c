// Turns examples into micro-batches, in an order that is a pure function of (seed, epoch).
//
// A row is one example, or with packing several whole examples up to sequence_len. A micro-batch is
// micro_batch_size rows laid end to end without padding, an optimizer step is
// gradient_accumulation_steps micro-batches. The last step of an epoch may be smaller.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/example.h"

namespace rung::data {

// Documents laid end to end. Attention never crosses a document; positions restart in each.
struct MicroBatch {
  std::vector<int32_t> input_ids;  // [tokens]
  std::vector<int32_t>
      targets;  // [tokens] the next token of the same document, or kIgnore (always at its end)
  std::vector<int32_t> positions;   // [tokens] 0.. in each document
  std::vector<int32_t> cu_seqlens;  // [documents + 1] token offsets
  std::vector<int64_t>
      documents;  // [documents] index of the example in the data set (keys dropout)

  int64_t num_tokens() const { return static_cast<int64_t>(input_ids.size()); }
  int64_t num_supervised() const;
};

// All micro-batches of one optimizer step.
struct StepBatch {
  std::vector<MicroBatch> micro_batches;
  int64_t epoch = 0;
  int64_t num_tokens() const;
  int64_t num_supervised() const;
};

// The complete state of a loader: a new one with the same examples and options continues from it
// bit for bit.
struct LoaderState {
  int64_t epoch = 0;
  int64_t step_in_epoch = 0;
};

struct LoaderOptions {
  int64_t sequence_len = 2048;  // tokens
  int64_t micro_batch_size = 1;
  int64_t gradient_accumulation_steps = 1;
  bool sample_packing = false;
  bool shuffle = true;
  uint64_t seed = 42;
};

class Loader {
 public:
  // Keeps a reference to `examples`; they must outlive it.
  Loader(std::span<const Example> examples, LoaderOptions options);

  StepBatch next();  // advances; wraps into the next epoch
  LoaderState state() const { return state_; }
  void seek(LoaderState state);
  int64_t steps_in_epoch(int64_t epoch) const;

 private:
  using Row = std::vector<int64_t>;  // example indices
  std::vector<Row> rows_of_epoch(int64_t epoch) const;

  std::span<const Example> examples_;
  LoaderOptions options_;
  LoaderState state_;
  std::vector<Row> rows_;
};

// Every example once, in order, `batch_size` documents at a time: for evaluation.
std::vector<MicroBatch> evaluation_batches(std::span<const Example> examples, int64_t batch_size);

MicroBatch make_micro_batch(std::span<const Example> examples, std::span<const int64_t> indices);

}  // namespace rung::data
