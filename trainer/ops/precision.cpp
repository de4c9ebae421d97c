#include "ops/precision.h"

namespace rung::ops {

int64_t row_multiple(const Precision& precision) {
  return precision.gemm == c10::kBFloat16 ? 64 : 1;
}

bool cpu_has_bf16_gemm() { return __builtin_cpu_supports("avx512bf16") != 0; }

Precision precision_for(c10::ScalarType compute) {
  if (compute == c10::kBFloat16 && !cpu_has_bf16_gemm()) return {compute, c10::kFloat};
  return {compute, compute};
}

}  // namespace rung::ops
