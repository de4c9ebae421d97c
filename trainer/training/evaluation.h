// Loss and perplexity over a data set.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "data/example.h"
#include "model/transformer.h"
#include "training/oom_recovery.h"

namespace rung::training {

struct Evaluation {
  double loss = 0.0;        // mean over supervised tokens
  double perplexity = 0.0;  // exp(loss)
  int64_t tokens = 0;       // supervised ones
  double seconds = 0.0;
  bool complete = true;  // false: stopped on the way, the figures are over what was done
};

struct EvaluationOptions {
  int64_t batch_size = 1;                  // documents at a time
  OomRecovery* recovery = nullptr;         // null: running out of memory is the end
  std::function<bool()> should_stop = {};  // asked between batches
  // Told after each batch how many of the examples are done.
  std::function<void(int64_t)> on_progress = {};
};

// The sum of the token losses of `batch`, in as many parts as it takes where there is a recovery.
// `settings` is what a recovery has come to.
double evaluation_loss(const model::Transformer& model, const data::MicroBatch& batch,
                       OomRecovery* recovery, fit::StepSettings& settings);

// Runs every example once, without dropout. `settings` is what a recovery has come to, for the next
// evaluation to start from; of them the split, tiles and head chunks count.
Evaluation evaluate(const model::Transformer& model, std::span<const data::Example> examples,
                    const EvaluationOptions& options, fit::StepSettings& settings);

}  // namespace rung::training
