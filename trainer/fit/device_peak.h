// From a run on the meta device to what the allocator of the real one takes.
#pragma once

#include <c10/core/DeviceType.h>

#include <cstdint>
#include <functional>

#include "memory/caching_model.h"
#include "memory/counter.h"

namespace rung::fit {

// How the CUDA plugin sets LibTorch's allocator up.
inline constexpr memory::CachingOptions kCudaCaching = {.segments =
                                                            memory::SegmentKind::kExpandable};

struct CudaMemory {
  memory::Usage counted;
  memory::CachingStats caching;  // what LibTorch's CUDA allocator makes of the same tensors
};

// Runs `meta_run`, which allocates on the meta device and returns what was counted, under the model
// of LibTorch's CUDA allocator.
CudaMemory observe_cuda(const std::function<memory::Usage()>& meta_run,
                        const memory::CachingOptions& options);

// A GPU reaches pinned memory of the host through tables of its own, 8 bytes for a page of 4 KiB
// (measured: docs/benchmarks/gpu.md).
inline constexpr int64_t kPinnedBytesOfATableByte = 512;

// Peak in bytes: of the counted tensors on a CPU; on CUDA of what the caching allocator reserves,
// with the page tables of what the run has pinned. `meta_run` makes its model with
// make_meta_model().
int64_t device_peak(c10::DeviceType device, const std::function<memory::Usage()>& meta_run);

}  // namespace rung::fit
