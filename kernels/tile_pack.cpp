// Loops of tile_pack.h, vectorised per instruction set.
#include "kernels/tile_pack.h"

#include "kernels/prefetch.h"
#include "kernels/simd.h"
#include "kernels/tile_ops.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kSquare = 8;

// 8 x 8 in registers: pairs of rows are interleaved by elements, by pairs and by quadruples.
RUNG_INLINE void transpose_square(const float* from, int64_t from_stride, float* to,
                                  int64_t to_stride) {
  typedef float Row __attribute__((vector_size(kSquare * 4)));
  Row r[kSquare];
  Row s[kSquare];
#pragma GCC unroll 8
  for (int i = 0; i < kSquare; ++i) __builtin_memcpy(&r[i], from + i * from_stride, sizeof(Row));
#pragma GCC unroll 4
  for (int i = 0; i < kSquare; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
#pragma GCC unroll 2
  for (int i = 0; i < kSquare; i += 4) {
    r[i] = __builtin_shufflevector(s[i], s[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 1] = __builtin_shufflevector(s[i], s[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    r[i + 2] = __builtin_shufflevector(s[i + 1], s[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 3] = __builtin_shufflevector(s[i + 1], s[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kSquare / 2; ++i) {
    s[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    s[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kSquare; ++i) __builtin_memcpy(to + i * to_stride, &s[i], sizeof(Row));
}

}  // namespace

template <typename T>
RUNG_SIMD_CLONES void widen_rows(const T* x, int64_t x_stride, int64_t rows, int64_t columns,
                                 float* tile, int64_t tile_stride) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* from = x + i * x_stride;
    float* to = tile + i * tile_stride;
    prefetch_row(from + kPrefetchRows * x_stride, columns);
#pragma GCC ivdep
    for (int64_t j = 0; j < columns; ++j) to[j] = to_float(from[j]);
  }
}

RUNG_SIMD_CLONES void transpose_tile(const float* tile, int64_t tile_stride, int64_t rows,
                                     int64_t columns, float* out, int64_t out_stride) {
  constexpr int64_t kStrip = 16;  // one cache line of `out`
  for (int64_t row = 0; row < rows; row += kStrip) {
    const float* from = tile + row * tile_stride;
    const int64_t count = rows - row < kStrip ? rows - row : kStrip;
    int64_t column = 0;
    for (; count == kStrip && column + kSquare <= columns; column += kSquare) {
      float* to = out + column * out_stride + row;
      transpose_square(from + column, tile_stride, to, out_stride);
      transpose_square(from + kSquare * tile_stride + column, tile_stride, to + kSquare,
                       out_stride);
    }
    for (; column < columns; ++column) {
      float* to = out + column * out_stride + row;
      if (count == kStrip) {
        for (int64_t i = 0; i < kStrip; ++i) to[i] = from[i * tile_stride + column];
      } else {
        for (int64_t i = 0; i < count; ++i) to[i] = from[i * tile_stride + column];
        for (int64_t i = count; i < kStrip; ++i) to[i] = 0.0f;
      }
    }
  }
}

template void widen_rows(const bf16*, int64_t, int64_t, int64_t, float*, int64_t);
template void widen_rows(const fp16*, int64_t, int64_t, int64_t, float*, int64_t);

}  // namespace rung::kernels::cpu
