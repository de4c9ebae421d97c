// Adapter dropout on the CPU: rows split over threads; the mask is computed in vector registers
// while the row is read.
#include "kernels/lora_dropout.h"

#include <bit>

#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

// The mask of one row.
struct RowMask {
  uint64_t key;
  uint32_t threshold;
  float scale;
};

// value / (1 - p) where kept. A dropped infinity or NaN is 0. By bits, because the product must not
// be fused with the sum that it goes into: not all processors would do that.
RUNG_INLINE float masked(float value, const RowMask& mask, int64_t column) {
  const uint32_t draw = dropout_draw(mask.key, static_cast<uint32_t>(column));
  const uint32_t kept = draw >= mask.threshold ? ~0u : 0u;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value * mask.scale) & kept);
}

template <typename T>
RUNG_SIMD_CLONES void apply_row(const T* x, RowMask mask, int64_t cols, T* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < cols; ++i) {
    y[i] = from_float<T>(masked(to_float(x[i]), mask, i));
  }
}

template <typename T>
RUNG_SIMD_CLONES void accumulate_row(const T* g, RowMask mask, int64_t cols, T* dx) {
#pragma GCC ivdep
  for (int64_t i = 0; i < cols; ++i) {
    dx[i] = from_float<T>(to_float(dx[i]) + masked(to_float(g[i]), mask, i));
  }
}

RowMask row_mask(const DropoutMask& mask, uint64_t row_key) {
  return {.key = dropout_key(row_key, mask.module_key),
          .threshold = mask.threshold,
          .scale = mask.scale};
}

}  // namespace

template <typename T>
void lora_dropout(const T* x, const uint64_t* row_keys, uint64_t module_key, float p, int64_t rows,
                  int64_t cols, int64_t x_stride, T* y) {
  const DropoutMask mask = dropout_mask(module_key, p);
  parallel_for(rows, rows_per_piece(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      apply_row(x + row * x_stride, row_mask(mask, row_keys[row]), cols, y + row * cols);
    }
  });
}

template <typename T>
void lora_dropout_accumulate(const T* g, const uint64_t* row_keys, uint64_t module_key, float p,
                             int64_t rows, int64_t cols, int64_t g_stride, T* dx) {
  const DropoutMask mask = dropout_mask(module_key, p);
  parallel_for(rows, rows_per_piece(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      accumulate_row(g + row * g_stride, row_mask(mask, row_keys[row]), cols, dx + row * cols);
    }
  });
}

template void lora_dropout(const float*, const uint64_t*, uint64_t, float, int64_t, int64_t,
                           int64_t, float*);
template void lora_dropout(const bf16*, const uint64_t*, uint64_t, float, int64_t, int64_t, int64_t,
                           bf16*);
template void lora_dropout(const fp16*, const uint64_t*, uint64_t, float, int64_t, int64_t, int64_t,
                           fp16*);
template void lora_dropout_accumulate(const float*, const uint64_t*, uint64_t, float, int64_t,
                                      int64_t, int64_t, float*);
template void lora_dropout_accumulate(const bf16*, const uint64_t*, uint64_t, float, int64_t,
                                      int64_t, int64_t, bf16*);
template void lora_dropout_accumulate(const fp16*, const uint64_t*, uint64_t, float, int64_t,
                                      int64_t, int64_t, fp16*);

}  // namespace rung::kernels::cpu
