// What LibTorch's CUDA caching allocator would reserve, simulated: told sizes, holds no memory.
//
//   size <= 1 MiB: small pool    segments of 2 MiB
//   size  < 10 MiB: large pool   segments of 20 MiB
//   size >= 10 MiB: large pool   segments of `size` rounded up to 2 MiB
//
// Sizes are rounded up to 512 bytes. The smallest free block of the pool and stream that is large
// enough is taken (the lowest address among equals), and cut where the rest is worth keeping: 512
// bytes in the small pool, more than 1 MiB in the large one. A freed block joins its free
// neighbours. Where a new segment would pass the limit, cached segments are given back first.
// Expandable segments instead map memory in pages (2 MiB small, 20 MiB large) behind the last block
// of one long run of addresses, and give back whole free pages.
//
// Source: c10/cuda/CUDACachingAllocator.cpp of the PyTorch main branch between 2.10 and 2.11 (the
// revision that has skip_actions and large_segment_size and not yet include_traces); constants and
// defaults from the headers of LibTorch 2.11.0 (c10/core/AllocatorConfig.h). caching_model_test
// compares these, caching_model_recorded_test the answers of LibTorch's own allocator. Not
// modelled: uses on a second stream (record_stream), private pools of CUDA graphs,
// garbage_collection_threshold, roundup_power2_divisions, memory outside of the allocator, and
// where the driver places a segment (a new one lies above all others here, which decides only
// between free blocks of equal size; the addresses of an expandable segment do not run out,
// LibTorch takes 9/8 of the device).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <unordered_map>

#include "memory/caching_blocks.h"

namespace rung::memory {

enum class SegmentKind : uint8_t {
  kFixed,       // one cudaMalloc each; LibTorch's default
  kExpandable,  // expandable_segments:True
};

struct CachingOptions {
  SegmentKind segments = SegmentKind::kFixed;
  // Reserved bytes allowed (per_process_memory_fraction); 0 = no limit. Expandable segments may
  // pass it by less than a page, as LibTorch's do: the check is made before rounding up to pages.
  int64_t limit = 0;
  // max_split_size_mb in bytes, 20 MiB or more: blocks as large as this are neither cut nor given
  // to smaller requests.
  int64_t max_split_size = std::numeric_limits<int64_t>::max();
};

struct CachingStats {
  int64_t reserved = 0;  // bytes taken from the device
  int64_t reserved_peak = 0;
  int64_t allocated = 0;  // bytes of blocks in use: as rounded, or whole where they were not cut
  int64_t allocated_peak = 0;
  int64_t inactive_split = 0;  // bytes of free blocks in fixed segments that are partly in use
  int64_t num_segments = 0;    // cudaMalloc segments; or expandable ones (LibTorch counts 0)
  int64_t num_retries = 0;     // attempts after all cached segments were given back
  int64_t num_failures = 0;    // allocations that did not fit
};

class CachingModel {
 public:
  explicit CachingModel(const CachingOptions& options = {});

  // `id` is the caller's, not in use now; bytes > 0. False where it does not fit in the limit.
  bool allocate(uint64_t id, int64_t bytes, int64_t stream = 0);
  // Ids that are not held are ignored: those that did not fit.
  void free(uint64_t id);
  // What emptyCache() does: free segments, or free pages of expandable ones, go back.
  void release_cached();

  CachingStats stats() const;
  // The next peaks are those from now on.
  void reset_peaks();
  const CachingBlocks& blocks() const { return blocks_; }
  // Where an allocation that is held lies.
  int64_t address_of(uint64_t id) const { return held_.at(id); }

 private:
  using Block = CachingBlocks::Block;
  struct Request {
    int64_t size;          // bytes, rounded
    int64_t segment_size;  // bytes of a new segment
    int64_t stream;
    CachePool pool;
  };

  Request request_for(int64_t bytes, int64_t stream) const;
  bool expandable() const { return options_.segments == SegmentKind::kExpandable; }
  std::optional<Block> find(const Request& request);
  int64_t size_when_expanded(int64_t address);
  std::optional<Block> take_from_device(const Request& request);
  Block expand(const Request& request);
  Block room_to_expand(const Request& request);
  bool has_room(Block block, int64_t bytes);
  Block map(Block unmapped, int64_t bytes);
  void unmap(Block free);
  bool release_oversize(const Request& request);
  void release_segment(Block whole);
  bool worth_splitting(Block block, const Request& request) const;
  void add_reserved(int64_t bytes);

  CachingOptions options_;
  CachingBlocks blocks_;
  std::unordered_map<uint64_t, int64_t> held_;  // id -> address
  CachingStats stats_;
};

}  // namespace rung::memory
