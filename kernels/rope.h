// Rotary position embedding, rotate-half form, in place: with (a, b) = (x[i], x[i + head_dim/2]),
// forward sets (a cos - b sin, b cos + a sin) and inverse rotates by the negative angle, which is
// the backward pass. Arithmetic is float, rounded once.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launcher queues work on
// `stream` and returns. Nothing here allocates. Results do not depend on threads.
// Source: https://arxiv.org/abs/2104.09864; transformers' apply_rotary_pos_emb for the halves.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels {

enum class RopeDirection { kForward, kInverse };

// Head h of token t lies at x + t * token_stride + h * head_dim. head_dim is even. Query and key
// heads that are neighbours in a packed row count as one range of heads.
struct RopeShape {
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t token_stride = 0;  // elements
};

namespace cpu {

// Given cos and sin [max_positions, head_dim / 2] and positions [tokens], rotates x in place.
// T: float, bf16, fp16.
template <typename T>
void rope_(T* x, const float* cos, const float* sin, const int32_t* positions,
           const RopeShape& shape, RopeDirection direction);

}  // namespace cpu

namespace cuda {

// As cpu::rope_, with products and their sum each rounded to float, as transformers does. Where
// halves of heads are aligned to 16 bytes, in pointers, token_stride and head_dim / 2, they are
// accessed in packets of 16 bytes, else by element. Throws std::invalid_argument for an odd
// head_dim.
template <typename T>
void rope_(T* x, const float* cos, const float* sin, const int32_t* positions,
           const RopeShape& shape, RopeDirection direction, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
