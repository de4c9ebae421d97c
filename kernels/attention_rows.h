// Attention's tiles: rows of heads between tensors and float tiles. Internal to the CPU path of
// kernels/attention.h.
//
// Row r of a tile is head r % heads of token r / heads: the query heads that share a key-value head
// lie next to each other, so one tile of keys serves them all.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels::cpu {

// Where row 0 of a tile lies in a tensor, and how rows follow.
template <typename T>
struct HeadRows {
  T* data = nullptr;
  int64_t stride = 0;  // elements between tokens
  int64_t heads = 1;
  int64_t head_dim = 0;

  T* row(int64_t index) const { return data + index / heads * stride + index % heads * head_dim; }
};

// T below: float, bf16, fp16.

// Sets tile [rows, tile_stride] to factor * (rows first .. first + rows of x), 0 in the columns
// from head_dim to tile_stride.
template <typename T>
void load_tile(const HeadRows<const T>& x, int64_t first, int64_t rows, float factor, float* tile,
               int64_t tile_stride);

// Rows first .. first + rows of x = tile * factors [rows], rounded to T.
template <typename T>
void store_tile(const float* tile, int64_t tile_stride, const float* factors, int64_t first,
                int64_t rows, const HeadRows<T>& x);

// Rows first .. first + rows of x += factor * tile.
void add_tile(const float* tile, int64_t tile_stride, float factor, int64_t first, int64_t rows,
              const HeadRows<float>& x);

// dots[r] = <a row r, b row r> over all `rows` rows.
template <typename T>
void dot_rows(const HeadRows<const T>& a, const HeadRows<const T>& b, int64_t rows, float* dots);

}  // namespace rung::kernels::cpu
