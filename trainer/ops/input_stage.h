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

struct StagedInput {
  at::Tensor h;     // [tokens, in] dtype of x
  at::Tensor rstd;  // [tokens] fp32, NormInput only
};

StagedInput stage_forward(const InputStage& stage, const at::Tensor& x);

// dh [tokens, in] -> dx, shape of x.
at::Tensor stage_backward(const InputStage& stage, const at::Tensor& dh, const at::Tensor& x,
                          const at::Tensor& rstd);

}  // namespace rung::ops
