// Which documents spoil a step whose loss or gradient is not finite.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/loader.h"
#include "model/transformer.h"
#include "step/step.h"

namespace rung::training {

// Indices of the documents of `batch` whose loss or gradient is not finite on its own. `batch` as
// the step took it; its micro-batches are run again, and those that are not finite in halves, with
// the step's dropout and without loss scaling: about a step, and two passes more for each halving.
// Ends early where options.should_stop says so or memory runs out. Changes the gradients, which
// every step clears.
std::vector<int64_t> find_not_finite(model::Transformer& model, const data::StepBatch& batch,
                                     int64_t index, const step::StepOptions& options);

// "step 12 skipped: its loss is not finite, because of train.jsonl:17 (96 tokens)"
std::string skipped_text(int64_t step, const step::StepResult& result,
                         std::span<const int64_t> documents, const data::StepBatch& batch,
                         std::span<const data::Example> examples);

}  // namespace rung::training
