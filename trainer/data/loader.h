// Turns examples into micro-batches, in an order that is a pure function of (seed, epoch).
//
// A row is one example, or with packing several whole examples up to sequence_len. A micro-batch is
// micro_batch_size rows laid end to end without padding, an optimizer step is
// gradient_accumulation_steps micro-batches. The last step of an epoch may be smaller. Every epoch
// has the same number of rows, so of steps; which documents share a row changes with the shuffle.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/example.h"
#include "data/packing.h"

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
  int64_t num_documents() const;
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
  // Keeps a reference to `examples`; they must outlive it. At least one, and with packing none
  // longer than sequence_len (load_dataset sees to both).
  Loader(std::span<const Example> examples, LoaderOptions options);

  // The batch at state(), then advances; after an epoch's last step the state is {epoch + 1, 0}.
  StepBatch next();
  LoaderState state() const { return state_; }
  // Throws Error kDamaged where `state` is not one that a loader of these examples can have.
  void seek(LoaderState state);
  int64_t steps_in_epoch(int64_t epoch) const;
  int64_t rows_in_epoch() const { return static_cast<int64_t>(rows_.size()); }

 private:
  std::vector<Row> rows_of_epoch(int64_t epoch) const;

  std::span<const Example> examples_;
  LoaderOptions options_;
  LoaderState state_;
  std::vector<Row> rows_;  // of state_.epoch
};

// Every example once, in order, `batch_size` documents at a time (the last batch may be smaller):
// for evaluation.
std::vector<MicroBatch> evaluation_batches(std::span<const Example> examples, int64_t batch_size);

// The documents `indices` of `examples`, laid end to end in that order.
MicroBatch make_micro_batch(std::span<const Example> examples, std::span<const int64_t> indices);

}  // namespace rung::data
