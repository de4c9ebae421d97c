// The trainable projection of a linear group: input stage, GEMM over the frozen weights, adapters.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ops/input_stage.h"
#include "ops/linear_group.h"
#include "ops/precision.h"
#include "ops/weight_cache.h"

namespace rung::ops {

// Whether the value of the result is read. In the recomputation of a block only its graph is; then
// no memory is taken for the value.
enum class Output { kComputed, kUnread };

struct ProjectOptions {
  Precision precision;
  at::Tensor row_keys;  // [tokens] int64, keys of the rows for dropout; undefined: no dropout
  at::Tensor residual;  // [tokens, out] added to the rounded result; may be undefined
  Output output = Output::kComputed;
  // Where dequantised weights are kept and found; null: they are made for each product. Must
  // outlive the graph.
  WeightCache* weights = nullptr;
};

// Given x [tokens, features of the stage] (compute dtype, contiguous), returns y [tokens,
// group.out_features] in the compute dtype: members side by side. The adapters' part is added in
// fp32 (or inside one GEMM) before y is rounded; added to a rounded y, small updates would be lost.
//
// Differentiable in x and the residual; the backward pass also adds to grad_a and grad_b of every
// adapter. Keeps x alone; weights are dequantised again. The backward pass of SwigluInput writes
// over x where nobody else holds it. `group` must outlive the graph.
at::Tensor project(const at::Tensor& x, const InputStage& stage, const LinearGroup& group,
                   const ProjectOptions& options);

// A group that reads the residual stream through a norm, and the stream that goes on past it.
struct Branch {
  at::Tensor y;       // [tokens, group.out_features]
  at::Tensor stream;  // [tokens, group.in_features]
};

// Given the stream x [tokens, group.in_features] and what the branch before adds to it (`update`,
// same shape, or undefined): stream = x + update, y = project(stream, norm, group, options).
// options.residual is not for here.
//
// The sum is made in the norm's pass, in the memory of `update` where nobody else holds it (move it
// in), and the gradient that arrives at `stream` is added in the pass of the norm's own, rounded
// once. Differentiable in x and update, whose gradients are one tensor: whoever is behind them must
// not write into it. y must be part of what is differentiated.
Branch project_branch(const at::Tensor& x, at::Tensor update, const NormInput& norm,
                      const LinearGroup& group, const ProjectOptions& options);

// The stacked weight [out, in] of a group in the compute dtype: the resident one, the one in
// `cache` (may be null), or written into a fresh buffer, which `cache` then keeps.
at::Tensor stacked_weight(const LinearGroup& group, const Precision& precision, c10::Device device,
                          WeightCache* cache = nullptr);

}  // namespace rung::ops
