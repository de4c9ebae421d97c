// The batches that take the most memory: what a plan is made for.
#pragma once

#include <cstdint>
#include <span>

#include "base/run_config.h"
#include "data/loader.h"

namespace rung::training {

// The largest micro-batch that these options can make: with packing full rows, else the longest
// examples. Every token is learnt: a shorter batch may learn more of its tokens than the longest
// examples do.
data::StepBatch largest_step(const RunConfig& config, std::span<const data::Example> examples);

// The `batch_size` longest examples (all, where there are fewer), every token learnt: no batch of
// an evaluation is larger.
data::MicroBatch largest_evaluation_batch(std::span<const data::Example> examples,
                                          int64_t batch_size);

}  // namespace rung::training
