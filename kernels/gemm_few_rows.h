// Products with few rows. Internal to kernels/gemm*.cpp.
#pragma once

#include "kernels/aligned_floats.h"
#include "kernels/gemm.h"

namespace rung::kernels::cpu {

// gemm() for up to kGemmFewRows rows, with a.column_stride and b.row_stride 1: dot products of rows
// of a with columns of b, which is read once and as it lies. k is at least 1.
template <typename T, typename Out>
void gemm_few_rows(const GemmShape& shape, float alpha, const GemmOperand<T>& a,
                   const GemmOperand<T>& b, const GemmResult<Out>& c, ReusedFloats& workspace);

}  // namespace rung::kernels::cpu
