// Allocators that count, for ATen's CPU and meta devices.
//
// CPU: blocks of 1 MiB and more are mapped by themselves, so that the peak of the process's
// resident size follows that of the count; freed ones are kept for the next request of the same
// size (a step asks for the same sizes again and again, and fresh pages have to be cleared). Kept
// and used ones together take no more than was in use at once before, or 256 MiB more than is in
// use: so a peak may rise by 256 MiB. Past the limit, or where the system refuses a block,
// c10::OutOfMemoryError is thrown. Meta: no memory at all, only the count. Source of the interface:
// c10/core/CPUAllocator.h, c10/core/Allocator.h.
#pragma once

#include "memory/counter.h"

namespace rung::memory {

// Makes the counting allocators ATen's own. Call once, before the first tensor; they live as long
// as the process (static tensors may outlive main). Returns nothing: use cpu_counter() and
// meta_counter().
void install_counting_allocators();

// Returns freed blocks that are kept for reuse to the system.
void release_kept_blocks();
// What they take.
int64_t kept_block_bytes();

Counter& cpu_counter();
Counter& meta_counter();
Counter& cuda_counter();  // fed by the CUDA plugin

// Told of the blocks of the meta device, one call at a time as long as one thread allocates.
class AllocationObserver {
 public:
  virtual ~AllocationObserver() = default;
  // `bytes` > 0 as asked for, not rounded; `id` is no other live block's.
  virtual void allocated(uint64_t id, int64_t bytes) = 0;
  // Also called for blocks that were allocated before the observation began.
  virtual void freed(uint64_t id) = 0;
};

// `observer` is told of the meta device's blocks while this lives. One at a time.
class MetaObservation {
 public:
  explicit MetaObservation(AllocationObserver& observer);
  ~MetaObservation();
  MetaObservation(const MetaObservation&) = delete;
  MetaObservation& operator=(const MetaObservation&) = delete;
};

}  // namespace rung::memory
