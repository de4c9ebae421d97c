// The batches that take the most memory: what a plan is made for.
#pragma once

#include <cstdint>
#include <vector>

#include "base/run_config.h"
#include "data/example_sizes.h"
#include "data/loader.h"

namespace rung::training {

// The largest micro-batch that these options can make: with packing full rows, else as long as the
// longest examples. Every token is learnt: a shorter batch may learn more of its tokens than the
// longest examples do. The ids are 0: memory does not depend on them.
data::StepBatch largest_step(const RunConfig& config, const data::ExampleSizes& examples);

// With packing: of no micro-batch, in any epoch, is the i-th longest document longer than the i-th
// of these; nor does one have more documents. Longest first; empty without packing.
std::vector<int64_t> longest_packed(const RunConfig& config, const data::ExampleSizes& examples);

// The same of the `batch_size` longest examples (all, where there are fewer): no batch of an
// evaluation is larger.
data::MicroBatch largest_evaluation_batch(const data::ExampleSizes& examples, int64_t batch_size);

}  // namespace rung::training
