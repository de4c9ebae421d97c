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

// Indices of the documents of `batch` whose loss or gradient is not finite on its own. Runs them
// one by one, with the step's dropout and without loss scaling, so it takes about as long as the
// step; running out of memory on the way ends the search. Changes the gradients, which every step
// clears.
std::vector<int64_t> find_not_finite(model::Transformer& model, const data::StepBatch& batch,
                                     int64_t index, const step::StepOptions& options);

// "step 12 skipped: its loss is not finite, because of train.jsonl:17 (96 tokens)"
std::string skipped_text(int64_t step, const step::StepResult& result,
                         std::span<const int64_t> documents, const data::StepBatch& batch,
                         std::span<const data::Example> examples);

}  // namespace rung::training
