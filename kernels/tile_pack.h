// Widening and turning of matrices on their way into float tiles. Internal to the CPU paths of
// kernels/attention.h and kernels/gemm.h.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels::cpu {

// Sets tile [rows, columns], rows tile_stride apart, to x [rows, columns], rows x_stride apart. T:
// bf16, fp16.
template <typename T>
void widen_rows(const T* x, int64_t x_stride, int64_t rows, int64_t columns, float* tile,
                int64_t tile_stride);

// Sets out [columns, out_stride] to the transpose of tile [rows, tile_stride], 0 in columns rows ..
// padded_columns(rows).
void transpose_tile(const float* tile, int64_t tile_stride, int64_t rows, int64_t columns,
                    float* out, int64_t out_stride);

}  // namespace rung::kernels::cpu
