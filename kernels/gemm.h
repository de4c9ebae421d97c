// Matrix products of 16-bit operands on a CPU that has no instructions for them, or whose libraries
// are slow at them.
//
// Operands are widened to float, which is exact, tile by tile on their way into the caches;
// products are summed in float, and a result is rounded once. That is what a 16-bit GEMM with fp32
// accumulation computes, and no widened copy of a matrix exists. CUDA, and CPUs that multiply bf16
// themselves, have their vendors' libraries for this.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels::cpu {

// c [m, n] from a [m, k] and b [k, n]. Sums of no products (k = 0) are 0.
struct GemmShape {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
};

// Element (i, j) is data[i * row_stride + j * column_stride]; at least one of the strides is 1.
template <typename T>
struct GemmOperand {
  const T* data = nullptr;
  int64_t row_stride = 0;
  int64_t column_stride = 1;
};

enum class GemmStore { kSet, kAdd };

// Element (i, j) is data[i * row_stride + j]. kAdd adds the product to what is there, in float and
// before it is rounded; kSet does not read it.
template <typename Out>
struct GemmResult {
  Out* data = nullptr;
  int64_t row_stride = 0;
  GemmStore store = GemmStore::kSet;
};

// c = alpha a b, or c += alpha a b. T: bf16, fp16; Out: T or float. c overlaps neither operand.
//
// The order of an element's sum follows from k alone, but for up to kGemmFewRows rows of operands
// that both lie along the sum (a.column_stride and b.row_stride are 1): those are dot products, in
// another order that follows from k alone. So the number of threads changes no bit, and the other
// rows none as long as there are, with them or without, more than kGemmFewRows or not more.
//
// Works in at most 24 MiB and half a MiB a thread, dot products in 64 k bytes; from 2 MiB on, in
// whole huge pages. Products of all types share that memory, which is kept for the calling thread's
// next one. Throws std::bad_alloc where it cannot be had.
template <typename T, typename Out>
void gemm(const GemmShape& shape, float alpha, const GemmOperand<T>& a, const GemmOperand<T>& b,
          const GemmResult<Out>& c);

// Up to so many rows (the decoding of a few sequences) b is read once and not packed.
inline constexpr int64_t kGemmFewRows = 16;

}  // namespace rung::kernels::cpu
