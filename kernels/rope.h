// Rotary position embedding, rotate-half form, in place: with (a, b) = (x[i], x[i + head_dim/2]),
// forward sets (a cos - b sin, b cos + a sin) and inverse rotates by the negative angle, which is
// the backward pass. Arithmetic is float, rounded once.
// Source: https://arxiv.org/abs/2104.09864; transformers' apply_rotary_pos_emb for the halves.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels::cpu {

enum class RopeDirection { kForward, kInverse };

// Head h of token t lies at x + t * token_stride + h * head_dim. head_dim is even.
struct RopeShape {
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t token_stride = 0;  // elements
};

// Given cos and sin [max_positions, head_dim / 2] and positions [tokens], rotates x in place.
// T: float, bf16.
template <typename T>
void rope_(T* x, const float* cos, const float* sin, const int32_t* positions,
           const RopeShape& shape, RopeDirection direction);

}  // namespace rung::kernels::cpu
