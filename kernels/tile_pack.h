// Moving rows between tensors and float tiles. Internal to the CPU paths of kernels/attention.h and
// kernels/gemm.h.
//
// Row r of attention's tiles is head r % heads of token r / heads: the query heads that share a
// key-value head lie next to each other, so one tile of keys serves them all.
#pragma once

#include <cstdint>
#include <memory>

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

// Rows of a tensor lie on different pages, where the processor's own prefetching does not reach:
// loops over rows fetch the one so many rows ahead. Addresses behind the tensor's end do no harm.
inline constexpr int64_t kPrefetchRows = 8;

// Sets tile [rows, columns], rows tile_stride apart, to x [rows, columns], rows x_stride apart. T:
// bf16, fp16.
template <typename T>
void widen_rows(const T* x, int64_t x_stride, int64_t rows, int64_t columns, float* tile,
                int64_t tile_stride);

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

// Sets out [columns, out_stride] to the transpose of tile [rows, tile_stride], 0 in columns rows ..
// padded_columns(rows).
void transpose_tile(const float* tile, int64_t tile_stride, int64_t rows, int64_t columns,
                    float* out, int64_t out_stride);

// dots[r] = <a row r, b row r> over all `rows` rows.
template <typename T>
void dot_rows(const HeadRows<const T>& a, const HeadRows<const T>& b, int64_t rows, float* dots);

struct FreeFloats {
  void operator()(float* data) const;
};
using Floats = std::unique_ptr<float[], FreeFloats>;

inline constexpr int64_t kFloatAlignment = 16;  // of make_floats: a cache line

// Not filled. Throws std::bad_alloc.
Floats make_floats(int64_t count);

// One thread's tiles, each on a cache line boundary.
class TileBuffer {
 public:
  explicit TileBuffer(int64_t num_floats) : data_(make_floats(num_floats)), next_(data_.get()) {}

  // The next `num_floats` of the buffer.
  float* take(int64_t num_floats);

  static constexpr int64_t padded(int64_t num_floats) {
    return (num_floats + kFloatAlignment - 1) / kFloatAlignment * kFloatAlignment;
  }

 private:
  Floats data_;
  float* next_;
};

}  // namespace rung::kernels::cpu
