// Which dtype values are stored in and which dtype matrices are multiplied in.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

namespace rung::ops {

// compute: dtype of activations and of gradients between operators (bf16 or fp32).
// gemm: dtype of GEMM operands. Equal to `compute`, except on CPUs without bf16 instructions: there
// bf16 values are widened to fp32 before a GEMM (exact) and its fp32 result is rounded once. That
// is what a bf16 GEMM with fp32 accumulation computes, 10 to 80 times faster than a CPU does it
// without the instructions.
struct Precision {
  c10::ScalarType compute = c10::kFloat;
  c10::ScalarType gemm = c10::kFloat;
};

// What the number of rows of a bf16 GEMM is rounded up to on a CPU: oneDNN keeps a compiled
// primitive, over a MiB that no allocator sees, for every distinct shape. 1 where GEMMs are fp32.
int64_t row_multiple(const Precision& precision);

// Whether the CPU multiplies bf16 matrices natively (AVX512-bf16 or AMX).
bool cpu_has_bf16_gemm();

// The precision for `compute` (kFloat or kBFloat16) on this CPU.
Precision precision_for(c10::ScalarType compute);

}  // namespace rung::ops
