// Products by way of packed blocks. Internal to kernels/gemm*.cpp and their tests.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/aligned_floats.h"
#include "kernels/gemm.h"
#include "kernels/tile_ops.h"

namespace rung::kernels::cpu {

// How much is taken at a time; all at least 1. An element's sum is cut at multiples of
// packed_depth, and between them into parts of `depth`: nothing else here changes its bits.
struct GemmBlocking {
  int64_t rows = 0;     // of a that are multiplied at a time
  int64_t depth = 0;    // of a sum, likewise
  int64_t columns = 0;  // of c that a task takes at most; a multiple of panel_columns
  // Of b, what is packed at a time: `columns`, or as many more as packed_floats hold, and no more
  // than packed_depth deep. Longer sums wait between the packings, those of waiting_rows at a time.
  int64_t packed_floats = 0;
  int64_t packed_depth = 0;
  int64_t waiting_rows = 0;

  // With panels `width` wide: columns of b that are packed of a product as deep.
  constexpr int64_t packed_columns(int64_t product_depth, int64_t width) const {
    return std::max(columns, packed_floats / product_depth / width * width);
  }

  // Floats of a thread: an operand's part, widened, and sums of a block.
  constexpr int64_t tile_floats(int64_t width) const {
    return std::max(
        {rows * tile_stride(depth), depth * tile_stride(rows), width * tile_stride(depth)});
  }
  constexpr int64_t thread_floats(int64_t width) const {
    return tile_floats(width) + rows * tile_stride(columns);
  }

  // Floats that threads share, at most: packed columns, and sums that wait.
  constexpr int64_t most_shared_floats(int64_t width) const {
    const int64_t deep = packed_columns(packed_depth, width);
    return std::max(packed_floats, deep * packed_depth + waiting_rows * tile_stride(deep));
  }
};

// What a product is done with.
struct GemmMeans {
  TileOps ops;
  GemmBlocking blocking;
  ReusedFloats& workspace;
};

// gemm() where no dimension is 0.
template <typename T, typename Out>
void gemm_blocked(const GemmShape& shape, float alpha, const GemmOperand<T>& a,
                  const GemmOperand<T>& b, const GemmResult<Out>& c, const GemmMeans& means);

}  // namespace rung::kernels::cpu
