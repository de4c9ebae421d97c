// Few rows leave nothing to reuse a packed b for; the product takes as long as reading b does.
#include "kernels/gemm_few_rows.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/simd.h"
#include "kernels/tile_pack.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kRows = 4;  // of a at a time; with two columns of b, eight sums in registers

// dots[c][r] = <row r of a, column c of b>.
template <typename T>
RUNG_SIMD_CLONES void dots_of(const float* a, int64_t a_stride, const T* b0, const T* b1, int64_t k,
                              float (&dots)[2][kRows]) {
  const float* a0 = a;
  const float* a1 = a + a_stride;
  const float* a2 = a + 2 * a_stride;
  const float* a3 = a + 3 * a_stride;
  float s00 = 0.0f, s01 = 0.0f, s02 = 0.0f, s03 = 0.0f;
  float s10 = 0.0f, s11 = 0.0f, s12 = 0.0f, s13 = 0.0f;
#pragma omp simd reduction(+ : s00, s01, s02, s03, s10, s11, s12, s13)
  for (int64_t i = 0; i < k; ++i) {
    const float x = to_float(b0[i]);
    const float y = to_float(b1[i]);
    s00 += a0[i] * x;
    s01 += a1[i] * x;
    s02 += a2[i] * x;
    s03 += a3[i] * x;
    s10 += a0[i] * y;
    s11 += a1[i] * y;
    s12 += a2[i] * y;
    s13 += a3[i] * y;
  }
  const float sums[2][kRows] = {{s00, s01, s02, s03}, {s10, s11, s12, s13}};
  std::copy(&sums[0][0], &sums[0][0] + 2 * kRows, &dots[0][0]);
}

template <typename Out>
void store(float sum, GemmStore store, Out& to) {
  to = from_float<Out>(store == GemmStore::kSet ? sum : to_float(to) + sum);
}

}  // namespace

template <typename T, typename Out>
void gemm_few_rows(const GemmShape& shape, float alpha, const GemmOperand<T>& a,
                   const GemmOperand<T>& b, const GemmResult<Out>& c, ReusedFloats& workspace) {
  const int64_t k = shape.k;
  const int64_t rows = ceil_div(shape.m, kRows) * kRows;
  float* wide = workspace.at_least(rows * k);
  widen_rows(a.data, a.row_stride, shape.m, k, wide, k);
  std::fill_n(wide + shape.m * k, (rows - shape.m) * k, 0.0f);
  parallel_for(shape.n, rows_per_piece(k), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += 2) {
      const T* b0 = b.data + j * b.column_stride;
      const T* b1 = j + 1 < end ? b0 + b.column_stride : b0;
      for (int64_t i = 0; i < shape.m; i += kRows) {
        float dots[2][kRows];
        dots_of(wide + i * k, k, b0, b1, k, dots);
        const int64_t count = std::min(kRows, shape.m - i);
        for (int64_t r = 0; r < count; ++r) {
          Out* to = c.data + (i + r) * c.row_stride + j;
          store(alpha * dots[0][r], c.store, to[0]);
          if (b1 != b0) store(alpha * dots[1][r], c.store, to[1]);
        }
      }
    }
  });
}

template void gemm_few_rows(const GemmShape&, float, const GemmOperand<bf16>&,
                            const GemmOperand<bf16>&, const GemmResult<bf16>&, ReusedFloats&);
template void gemm_few_rows(const GemmShape&, float, const GemmOperand<bf16>&,
                            const GemmOperand<bf16>&, const GemmResult<float>&, ReusedFloats&);
template void gemm_few_rows(const GemmShape&, float, const GemmOperand<fp16>&,
                            const GemmOperand<fp16>&, const GemmResult<fp16>&, ReusedFloats&);
template void gemm_few_rows(const GemmShape&, float, const GemmOperand<fp16>&,
                            const GemmOperand<fp16>&, const GemmResult<float>&, ReusedFloats&);

}  // namespace rung::kernels::cpu
