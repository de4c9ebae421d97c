// Which rows and packets (device_vector.h) a thread of an elementwise kernel works on. Only .cu
// files include this.
//
// A block is threads along a row times rows: long rows are cut into tiles of equal size, one a
// block; short rows share a block. A thread takes `steps` packets of its tile, so that lanes next
// to each other touch packets next to each other.
#pragma once

#include <algorithm>
#include <limits>

#include "kernels/ceil_div.h"
#include "kernels/launch.h"

namespace rung::kernels::cuda {

inline constexpr int kTileThreads = 256;

struct RowTiles {
  int64_t rows = 0;
  int packets = 0;  // of a row
  dim3 grid;        // tiles of a row, then rows in two dimensions
  dim3 block;

  __device__ int64_t row() const {
    return (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * blockDim.y + threadIdx.y;
  }
  // Of the first step; the next ones are blockDim.x packets apart.
  template <int kSteps>
  __device__ int first_packet() const {
    return static_cast<int>(blockIdx.x * (blockDim.x * kSteps) + threadIdx.x);
  }
};

// `name` is the op. Throws std::invalid_argument where no grid is large enough.
inline RowTiles tile_rows(int64_t rows, int64_t packets, int steps, const char* name) {
  constexpr int64_t kMaxPackets = std::numeric_limits<int32_t>::max() / 16;  // columns are int
  constexpr int64_t kMaxGrid = 65535;                                        // in y and z
  const int64_t tiles = ceil_div(packets, kTileThreads * steps);
  const int64_t threads = ceil_div(packets, tiles * steps);
  const int64_t rows_per_block = std::min(kTileThreads / threads, rows);
  const int64_t row_blocks = ceil_div(rows, rows_per_block);
  const int64_t grid_z = ceil_div(row_blocks, kMaxGrid);
  const int64_t grid_y = ceil_div(row_blocks, grid_z);
  if (packets > kMaxPackets || grid_z > kMaxGrid) {
    throw std::invalid_argument(std::string(name) + ": " + std::to_string(rows) + " rows of " +
                                std::to_string(packets) + " packets are too many for one launch");
  }
  return {.rows = rows,
          .packets = static_cast<int>(packets),
          .grid = dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(grid_y),
                       static_cast<unsigned>(grid_z)),
          .block = dim3(static_cast<unsigned>(threads), static_cast<unsigned>(rows_per_block))};
}

}  // namespace rung::kernels::cuda
