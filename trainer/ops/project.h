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
// adapter. Keeps x alone; weights are dequantised again. `group` must outlive the graph.
at::Tensor project(const at::Tensor& x, const InputStage& stage, const LinearGroup& group,
                   const ProjectOptions& options);

// The stacked weight [out, in] of a group in the compute dtype: the resident one, the one in
// `cache` (may be null), or written into a fresh buffer, which `cache` then keeps.
at::Tensor stacked_weight(const LinearGroup& group, const Precision& precision, c10::Device device,
                          WeightCache* cache = nullptr);

}  // namespace rung::ops
