// Rotary position embedding of queries and keys, in place.
#pragma once

#include <ATen/core/Tensor.h>

namespace rung::ops {

// cos, sin [max_positions, head_dim / 2] fp32. Source of the rotate-half form: transformers'
// apply_rotary_pos_emb.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};

// Given heads [tokens, features] whose first num_heads * head_dim features are heads to rotate, and
// positions [tokens] int32, rotates them and returns heads. Its storage is reused, so no other node
// may have kept it (projections and head norms keep their inputs only). Differentiable; backward is
// the inverse rotation.
at::Tensor rope(const at::Tensor& heads, const RopeTable& table, const at::Tensor& positions,
                int64_t num_heads, int64_t head_dim);

}  // namespace rung::ops
