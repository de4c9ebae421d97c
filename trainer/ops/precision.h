// Which dtype values are stored in and which dtype matrices are multiplied in, on which device.
#pragma once

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace rung::ops {

// compute: dtype of activations and of gradients between operators (bf16, fp16 or fp32).
// gemm: dtype of GEMM operands. Equal to `compute`, except on CPUs without its instructions: there
// 16-bit values are widened to fp32 before a GEMM (exact) and its fp32 result is rounded once. That
// is what a 16-bit GEMM with fp32 accumulation computes, 10 to 80 times faster than a CPU does it
// without the instructions.
// device: the one that computes; on the meta device the one whose allocations are repeated.
struct Precision {
  c10::ScalarType compute = c10::kFloat;
  c10::ScalarType gemm = c10::kFloat;
  c10::DeviceType device = c10::kCPU;
};

// `rows` rounded up to what a GEMM should be given. For bf16 on a CPU a multiple of 64: oneDNN
// keeps a compiled primitive, over a MiB that no allocator sees, for every distinct shape. Up to 16
// rows (the decoding of a few sequences) stay: those are few shapes, and padding would multiply
// their work. Elsewhere `rows` itself.
int64_t padded_rows(int64_t rows, const Precision& precision);

// Whether the CPU multiplies bf16 matrices natively (AVX512-bf16 or AMX).
bool cpu_has_bf16_gemm();

// The precision for `compute` on `device` (of this machine).
Precision precision_for(c10::ScalarType compute, c10::DeviceType device);

}  // namespace rung::ops
