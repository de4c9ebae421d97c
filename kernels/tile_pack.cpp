// Row loops of tile_pack.h, vectorised per instruction set.
#include "kernels/tile_pack.h"

#include <cstdlib>
#include <new>

#include "kernels/simd.h"
#include "kernels/tile_ops.h"

namespace rung::kernels::cpu {

namespace {

template <typename T>
RUNG_SIMD_CLONES void load_row(const T* x, int64_t n, float factor, float* out, int64_t padded) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = to_float(x[i]) * factor;
  for (int64_t i = n; i < padded; ++i) out[i] = 0.0f;
}

template <typename T>
RUNG_INLINE void prefetch_row(const T* x, int64_t n) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < n; i += kLine) __builtin_prefetch(x + i);
}

template <typename T>
RUNG_SIMD_CLONES void store_row(const float* x, int64_t n, float factor, T* out) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = from_float<T>(x[i] * factor);
}

RUNG_SIMD_CLONES void add_row(const float* x, int64_t n, float factor, float* out) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] += x[i] * factor;
}

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

template <typename T>
RUNG_SIMD_CLONES float dot(const T* a, const T* b, int64_t n) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += to_float(a[i]) * to_float(b[i]);
  return sum;
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

template <typename T>
void load_tile(const HeadRows<const T>& x, int64_t first, int64_t rows, float factor, float* tile,
               int64_t tile_stride) {
  for (int64_t row = 0; row < rows; ++row) {
    prefetch_row(x.row(first + row + kPrefetchRows), x.head_dim);
    load_row(x.row(first + row), x.head_dim, factor, tile + row * tile_stride, tile_stride);
  }
}

template <typename T>
void store_tile(const float* tile, int64_t tile_stride, const float* factors, int64_t first,
                int64_t rows, const HeadRows<T>& x) {
  for (int64_t row = 0; row < rows; ++row) {
    store_row(tile + row * tile_stride, x.head_dim, factors[row], x.row(first + row));
  }
}

void add_tile(const float* tile, int64_t tile_stride, float factor, int64_t first, int64_t rows,
              const HeadRows<float>& x) {
  for (int64_t row = 0; row < rows; ++row) {
    add_row(tile + row * tile_stride, x.head_dim, factor, x.row(first + row));
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

template <typename T>
void dot_rows(const HeadRows<const T>& a, const HeadRows<const T>& b, int64_t rows, float* dots) {
  for (int64_t row = 0; row < rows; ++row) dots[row] = dot(a.row(row), b.row(row), a.head_dim);
}

void FreeFloats::operator()(float* data) const { std::free(data); }

Floats make_floats(int64_t count) {
  Floats floats(static_cast<float*>(
      std::aligned_alloc(kFloatAlignment * sizeof(float),
                         static_cast<size_t>(TileBuffer::padded(count)) * sizeof(float))));
  if (floats == nullptr) throw std::bad_alloc();
  return floats;
}

float* TileBuffer::take(int64_t num_floats) {
  float* taken = next_;
  next_ += padded(num_floats);
  return taken;
}

template void widen_rows(const bf16*, int64_t, int64_t, int64_t, float*, int64_t);
template void widen_rows(const fp16*, int64_t, int64_t, int64_t, float*, int64_t);
template void load_tile(const HeadRows<const float>&, int64_t, int64_t, float, float*, int64_t);
template void load_tile(const HeadRows<const bf16>&, int64_t, int64_t, float, float*, int64_t);
template void load_tile(const HeadRows<const fp16>&, int64_t, int64_t, float, float*, int64_t);
template void store_tile(const float*, int64_t, const float*, int64_t, int64_t,
                         const HeadRows<float>&);
template void store_tile(const float*, int64_t, const float*, int64_t, int64_t,
                         const HeadRows<bf16>&);
template void store_tile(const float*, int64_t, const float*, int64_t, int64_t,
                         const HeadRows<fp16>&);
template void dot_rows(const HeadRows<const float>&, const HeadRows<const float>&, int64_t, float*);
template void dot_rows(const HeadRows<const bf16>&, const HeadRows<const bf16>&, int64_t, float*);
template void dot_rows(const HeadRows<const fp16>&, const HeadRows<const fp16>&, int64_t, float*);

}  // namespace rung::kernels::cpu
