#include "ops/precision.h"

namespace rung::ops {

int64_t padded_rows(int64_t rows, const Precision& precision) {
  constexpr int64_t kFewRows = 16;
  constexpr int64_t kMultiple = 64;
  const bool compiled_by_shape = precision.device == c10::kCPU &&
                                 precision.gemm == GemmKernel::kLibrary &&
                                 precision.compute == c10::kBFloat16;
  if (!compiled_by_shape || rows <= kFewRows) return rows;
  return (rows + kMultiple - 1) / kMultiple * kMultiple;
}

c10::ScalarType gemm_dtype(const Precision& precision) {
  return precision.gemm == GemmKernel::kWidening ? c10::kFloat : precision.compute;
}

bool cpu_has_bf16_gemm() { return __builtin_cpu_supports("avx512bf16") != 0; }

Precision precision_for(c10::ScalarType compute, c10::DeviceType device) {
  const bool native = device != c10::kCPU || compute == c10::kFloat ||
                      (compute == c10::kBFloat16 && cpu_has_bf16_gemm());
  return {compute, native ? GemmKernel::kLibrary : GemmKernel::kWidening, device};
}

}  // namespace rung::ops
