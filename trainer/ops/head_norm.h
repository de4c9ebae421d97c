// RMSNorm of each query and key head (Qwen3).
#pragma once

#include <ATen/core/Tensor.h>

#include "ops/precision.h"

namespace rung::ops {

struct HeadNorm {
  at::Tensor q_weight;  // [head_dim] compute dtype
  at::Tensor k_weight;  // [head_dim]
  double eps = 1e-6;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
};

// Given qkv [tokens, (num_heads + 2 * num_kv_heads) * head_dim], returns it with every q and k head
// normalised over head_dim and v copied. Differentiable; keeps qkv and the reciprocal deviations.
at::Tensor head_norm(const at::Tensor& qkv, const HeadNorm& norm);

}  // namespace rung::ops
