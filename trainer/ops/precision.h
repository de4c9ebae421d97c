// Which dtype values are stored and multiplied in, on which device, and by whom.
#pragma once

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace rung::ops {

// kLibrary: ATen's, that is cuBLAS, oneDNN or MKL. kWidening: kernels/gemm.h, on a CPU: for bf16
// where it has no instructions to multiply bf16, and for fp16 always
// (docs/decisions/widened-gemms.md).
enum class GemmKernel { kLibrary, kWidening };

// compute: dtype of activations, of gradients between operators, and of GEMM operands (bf16, fp16
// or fp32). GEMMs accumulate in fp32.
// device: the one that computes; on the meta device the one whose allocations are repeated.
struct Precision {
  c10::ScalarType compute = c10::kFloat;
  GemmKernel gemm = GemmKernel::kLibrary;
  c10::DeviceType device = c10::kCPU;
};

// `rows` rounded up to what a GEMM should be given. For oneDNN's of bf16 on a CPU a multiple of 64:
// it keeps a compiled primitive, over a MiB that no allocator sees, for every distinct shape. Up to
// 16 rows (the decoding of a few sequences) stay: those are few shapes, and padding would multiply
// their work. Elsewhere `rows` itself.
int64_t padded_rows(int64_t rows, const Precision& precision);

// What matrices are multiplied in: fp32 where a GEMM widens its operands, else the compute dtype.
c10::ScalarType gemm_dtype(const Precision& precision);

// Whether the CPU multiplies bf16 matrices natively (AVX512-bf16 or AMX).
bool cpu_has_bf16_gemm();

// The precision for `compute` on `device` (of this machine).
Precision precision_for(c10::ScalarType compute, c10::DeviceType device);

}  // namespace rung::ops
