// What lies between the tensor that is kept for the backward pass and the GEMM that reads it.
//
// Keeping the input of the norm (or gate and up of SwiGLU) instead of the GEMM's own operand saves
// that operand's memory; it is computed again in the backward pass, which costs one pass over
// memory and no GEMM.
#pragma once

#include <ATen/core/Tensor.h>

#include <variant>

namespace rung::ops {

// h = x
struct PlainInput {};

// h = rms_norm(x) * weight
struct NormInput {
  at::Tensor weight;  // [in] compute dtype
  double eps = 1e-6;
};

// x [tokens, 2 * in] = gate, up; h = silu(gate) * up
struct SwigluInput {};

using InputStage = std::variant<PlainInput, NormInput, SwigluInput>;

// x -> h [tokens, in], dtype of x.
at::Tensor stage_forward(const InputStage& stage, const at::Tensor& x);

struct StageGradient {
  at::Tensor h;   // [tokens, in], as stage_forward gave it
  at::Tensor dx;  // shape of x
};

// Given dh [tokens, in], contiguous, and x. `passed`, for NormInput alone, is added to dx before it
// is rounded: the gradient that reaches x past the stage, undefined where there is none. dh is
// overwritten, and where nobody else holds it x too: the results lie there.
StageGradient stage_backward(const InputStage& stage, const at::Tensor& dh, const at::Tensor& x,
                             const at::Tensor& passed);

// NormInput by itself, for those who keep rstd.
struct Normed {
  at::Tensor h;     // [tokens, in] dtype of x
  at::Tensor rstd;  // [tokens] fp32
};

Normed norm_forward(const NormInput& norm, const at::Tensor& x);

// dh -> dx in place.
void norm_backward_(const NormInput& norm, const at::Tensor& dh, const at::Tensor& x,
                    const at::Tensor& rstd, const at::Tensor& passed);

struct NormedSum {
  at::Tensor sum;  // x + update, rounded; without a graph
  at::Tensor h;    // [tokens, in], the norm of it
};

// One pass over x and update [tokens, in]. The sum lies in the memory of `update` where nobody else
// holds it.
NormedSum norm_sum_forward(const NormInput& norm, const at::Tensor& x, const at::Tensor& update);

}  // namespace rung::ops
