// Loss and perplexity over a data set.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "data/example.h"
#include "model/transformer.h"

namespace rung::training {

struct Evaluation {
  double loss = 0.0;        // mean over supervised tokens
  double perplexity = 0.0;  // exp(loss)
  int64_t tokens = 0;       // supervised ones
  double seconds = 0.0;
  bool complete = true;  // false: stopped on the way, the figures are over what was done
};

// Runs every example once, batch_size documents at a time, without dropout. `should_stop` is asked
// between batches.
Evaluation evaluate(const model::Transformer& model, std::span<const data::Example> examples,
                    int64_t batch_size, const std::function<bool()>& should_stop = {});

}  // namespace rung::training
