// What a GPU of the table leaves to the tensors of a run.
#pragma once

#include <cstdint>

#include "base/run_config.h"
#include "fit/gpu_table.h"

namespace rung::training {

// Bytes of the CUDA context, the libraries' workspaces and the kernels loaded later on a GPU that
// is not here: 932 MiB on an H200 (docs/benchmarks/gpu.md).
inline constexpr int64_t kAssumedCudaOverhead = int64_t{960} << 20;

// Bytes for tensors, under the configuration's memory_limit; 0 where that leaves nothing beside the
// context.
int64_t tensor_limit_on(const fit::Gpu& gpu, const RunConfig& config);

}  // namespace rung::training
