// A GPU that is only arithmetic: what LibTorch's caching allocator calls of CUDA, without one.
//
// A program that is linked to fake_cuda.cpp and exports its symbols takes the place of libcudart
// for libc10_cuda: memory is addresses from a counter, streams are names, and synchronizing is
// nothing. Functions that are not defined there stay those of the real libcudart, which fail where
// there is no driver.
//
// The driver's functions for expandable segments (cuMemCreate, cuMemMap, ...) are handed out by
// cudaGetDriverEntryPointByVersion, which is where LibTorch takes them from.
#pragma once

#include <cstdint>

namespace rung::testing {

// Where the driver places a new segment is not documented and decides between free blocks of equal
// size.
enum class Placement : uint8_t {
  kAbove,  // above all that were there
  kBelow,
};

struct FakeGpu {
  int64_t total = int64_t{1} << 38;  // bytes; a power of two, so that every limit is a fraction
  int64_t used = 0;                  // bytes of memory, mapped or not
  Placement placement = Placement::kAbove;
};

FakeGpu& fake_gpu();

}  // namespace rung::testing
