// What a training step takes, found by running it on the meta device.
//
// The step's own code runs over tensors that have shapes and no memory, under the counting
// allocator; there is no second description of its memory that could drift from it.
#pragma once

#include <cstdint>
#include <vector>

#include "data/loader.h"
#include "fit/device_peak.h"
#include "format/model_config.h"
#include "memory/counter.h"
#include "model/transformer.h"
#include "step/optimizer.h"

namespace rung::fit {

struct StepShape {
  format::ModelConfig config;
  model::ModelOptions model;  // its device is ignored, but for what it stands for
  model::AdapterOptions adapter;
  step::OptimizerOptions optimizer;
  data::StepBatch batch;  // the largest step; token values are not looked at
  // Not empty with packing: rows of `batch` stand for any documents of which the i-th longest has
  // no more than packed_lengths[i] tokens (falling), and their parts may be larger than the rows'.
  std::vector<int64_t> packed_lengths;
  model::MemorySettings memory;
};

// Peak of tensor bytes, from an empty process to the end of the step.
memory::Usage step_memory(const StepShape& shape);

// What a run holds before and between its steps: weights, adapter, gradients, moments. The batch is
// not looked at.
memory::Usage resident_memory(const StepShape& shape);

// The same for a CUDA device: caching.reserved_peak is what the process takes for tensors, and
// caching.num_failures > 0 says that they do not fit in options.limit. The CUDA context, kernels
// and the libraries' own memory are not in it.
CudaMemory cuda_step_memory(const StepShape& shape, const memory::CachingOptions& options);

// What the step keeps in host memory at most, in bytes: offloaded inputs and embeddings, streamed
// blocks.
int64_t host_peak(const StepShape& shape);

// What resident_memory takes of the device that the model stands for.
int64_t resident_peak(const StepShape& shape);

// What the step takes of the device that the model stands for (device_peak).
int64_t step_peak(const StepShape& shape);

}  // namespace rung::fit
