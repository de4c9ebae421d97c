// Row loops of attention_rows.h, vectorised per instruction set.
#include "kernels/attention_rows.h"

#include "kernels/prefetch.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

template <typename T>
RUNG_SIMD_CLONES void load_row(const T* x, int64_t n, float factor, float* out, int64_t padded) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = to_float(x[i]) * factor;
  for (int64_t i = n; i < padded; ++i) out[i] = 0.0f;
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

template <typename T>
RUNG_SIMD_CLONES float dot(const T* a, const T* b, int64_t n) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += to_float(a[i]) * to_float(b[i]);
  return sum;
}

}  // namespace

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

template <typename T>
void dot_rows(const HeadRows<const T>& a, const HeadRows<const T>& b, int64_t rows, float* dots) {
  for (int64_t row = 0; row < rows; ++row) dots[row] = dot(a.row(row), b.row(row), a.head_dim);
}

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
