// Linears that read the same input: q, k, v; gate, up; o; down.
//
// For input h [tokens, in] and member m: y_m = h W_m' + bias_m + scaling_m * D(h) A_m' B_m'
// (LoRA: https://arxiv.org/abs/2106.09685; D = dropout). A group is one GEMM over the stacked W
// [sum of out, in], and where there is no dropout one skinny GEMM over the stacked A [sum of r,
// in].
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ops/frozen_weight.h"

namespace rung::ops {

// The adapter of one linear. Parameters and their gradients are fp32 views into flat buffers that
// the model owns; backward passes add into the gradients.
struct Lora {
  at::Tensor a;       // [r, in]
  at::Tensor b;       // [out, r]
  at::Tensor grad_a;  // [r, in]
  at::Tensor grad_b;  // [out, r]
  double scaling = 1.0;
  uint64_t module_key = 0;  // keys dropout

  bool defined() const { return a.defined(); }
};

struct Linear {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  FrozenWeight weight;
  at::Tensor bias;        // [out] compute dtype, or undefined
  Lora lora;              // or undefined
  int64_t first_row = 0;  // of this member in the stacked output
};

struct LinearGroup {
  std::vector<Linear> members;
  int64_t in_features = 0;
  int64_t out_features = 0;  // sum over members
  double dropout = 0.0;      // probability, of every member's adapter

  // A [sum of r, in] and its gradient, members with an adapter in order: views into the same flat
  // buffers as the members' own. Undefined where no member has one.
  at::Tensor stacked_a;
  at::Tensor stacked_grad_a;
  // All parameters of the group's adapters, [n] fp32: stacked_a, then the B of each, as they lie in
  // that buffer.
  at::Tensor parameters;

  // Inference: the stacked weight [out, in] in the compute dtype, filled once; undefined while
  // training.
  at::Tensor resident_weight;
};

}  // namespace rung::ops
