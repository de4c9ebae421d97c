// Arithmetic on tiles: row-major float arrays small enough for the second-level cache,
// single-threaded. Internal to the CPU paths of kernels/attention.h and kernels/gemm.h.
//
// One source (tile_ops_impl.h) is compiled for vectors of 4, 8 and 16 floats. The columns of
// a tile are padded to a multiple of kTileColumns, so no loop over columns has a remainder.
#pragma once

#include <cstdint>

namespace rung::kernels::cpu {

inline constexpr int64_t kTileColumns = 16;

inline constexpr int64_t kTileMaxRows = 64;  // of the softmax

inline constexpr int64_t padded_columns(int64_t columns) {
  return (columns + kTileColumns - 1) / kTileColumns * kTileColumns;
}

// Elements between the rows of a tile: an odd number of cache lines, so that a column of a tile is
// spread over all sets of the cache.
inline constexpr int64_t tile_stride(int64_t columns) {
  return (padded_columns(columns) / kTileColumns | 1) * kTileColumns;
}

enum class TileLayout { kRows, kColumns };
enum class TileStore { kSet, kAdd };

// c [m, n] = or += a [m, k] * b [k, n]; n is a multiple of kTileColumns. With layout kColumns, a is
// stored as [k, m]. Strides are elements between stored rows.
struct TileProduct {
  const float* a = nullptr;
  int64_t a_stride = 0;
  TileLayout a_layout = TileLayout::kRows;
  const float* b = nullptr;
  int64_t b_stride = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  TileStore store = TileStore::kSet;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
};

// Row i of a tile sees its first visible(i) columns: grows by one every `rows_per_query` rows, as a
// query takes one row for each of its heads.
struct TileMask {
  int64_t first_visible = 0;  // of row first_row; may be negative: none
  int64_t first_row = 0;
  int64_t rows_per_query = 1;

  int64_t visible(int64_t row) const {
    return first_visible + (first_row + row) / rows_per_query - first_row / rows_per_query;
  }
};

// One step of the online softmax in base 2. Given scores [rows, columns] and the state of its rows,
// replaces scores by 2^(score - max), 0 where masked; updates max and sum [rows], and rescales out
// [rows, out_columns] where the maximum moved.
struct TileSoftmax {
  float* scores = nullptr;
  int64_t score_stride = 0;
  float* max = nullptr;
  float* sum = nullptr;
  float* out = nullptr;
  int64_t out_stride = 0;
  int64_t rows = 0;     // at most kTileMaxRows
  int64_t columns = 0;  // a multiple of kTileColumns
  int64_t out_columns = 0;
  TileMask mask;
};

// Given scores and dp [rows, columns] and, per row, the base-2 log-sum-exp of the scores and the
// dot product of the row's out and dout: replaces scores by p = 2^(score - lse) and dp by p * (dp -
// dot), both 0 where masked.
struct TileSoftmaxGradient {
  float* scores = nullptr;
  float* dp = nullptr;
  int64_t stride = 0;  // of both
  const float* lse = nullptr;
  const float* dot = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;  // a multiple of kTileColumns
  TileMask mask;
};

struct TileOps {
  // Columns of b that a product keeps in registers: where b is packed, its panels are as wide.
  int64_t panel_columns;
  void (*multiply)(const TileProduct&);
  void (*softmax)(const TileSoftmax&);
  void (*softmax_gradient)(const TileSoftmaxGradient&);
};

TileOps portable_tile_ops();
TileOps avx2_tile_ops();    // needs AVX2 and FMA
TileOps avx512_tile_ops();  // needs AVX-512F

// The fastest that this processor runs.
TileOps tile_ops();

}  // namespace rung::kernels::cpu
