// What a training step takes, found by running it on the meta device.
//
// The step's own code runs over tensors that have shapes and no memory, under the counting
// allocator; there is no second description of its memory that could drift from it.
#pragma once

#include <cstdint>
#include <optional>

#include "data/loader.h"
#include "fit/device_peak.h"
#include "format/model_config.h"
#include "memory/counter.h"
#include "model/transformer.h"

namespace rung::fit {

struct StepShape {
  format::ModelConfig config;
  model::ModelOptions model;  // its device is ignored, but for what it stands for
  model::AdapterOptions adapter;
  data::StepBatch batch;  // the largest step; token values are not looked at
  model::Dequantisation dequantisation = model::Dequantisation::kEachProduct;
};

// Peak of tensor bytes, from an empty process to the end of the step, with the first num_recomputed
// blocks recomputed.
memory::Usage step_memory(const StepShape& shape, int64_t num_recomputed);

// The same for a CUDA device: caching.reserved_peak is what the process takes for tensors, and
// caching.num_failures > 0 says that they do not fit in options.limit. The CUDA context, kernels
// and the libraries' own memory are not in it.
CudaMemory cuda_step_memory(const StepShape& shape, int64_t num_recomputed,
                            const memory::CachingOptions& options);

// What the step takes of the device that the model stands for (device_peak).
int64_t step_peak(const StepShape& shape, int64_t num_recomputed);

// The smallest number of recomputed blocks whose step stays within `limit` bytes; nothing where not
// even recomputing all of them does.
std::optional<int64_t> choose_num_recomputed(const StepShape& shape, int64_t limit);

}  // namespace rung::fit
