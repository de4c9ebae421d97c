// Linear groups with random weights and adapters, and what ATen makes of them in double precision.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <variant>
#include <vector>

#include "kernels/lora_dropout.h"
#include "ops/input_stage.h"
#include "ops/linear_group.h"
#include "ops/project.h"
#include "tests/support/tensors.h"

namespace rung::testing {

enum class WeightKind { kDense, kNf4, kNf4DoubleQuant };

struct MemberSpec {
  int64_t out_features = 0;
  bool lora = true;
  bool bias = false;
};

struct GroupSpec {
  std::vector<MemberSpec> members;
  int64_t in_features = 40;
  int64_t rank = 3;
  double scaling = 0.5;
  double dropout = 0.0;
  double b_scale = 0.3;  // standard deviation of B
  WeightKind weights = WeightKind::kDense;
  c10::ScalarType compute = c10::kFloat;
};

inline ops::FrozenWeight random_weight(const GroupSpec& spec, const MemberSpec& member,
                                       uint64_t seed) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(spec.in_features));
  const at::Tensor dense =
      random_tensor({member.out_features, spec.in_features}, seed, spec.compute, scale);
  if (spec.weights == WeightKind::kDense) return ops::FrozenWeight::from_dense(dense);
  const auto double_quant =
      spec.weights == WeightKind::kNf4DoubleQuant ? ops::DoubleQuant::kOn : ops::DoubleQuant::kOff;
  return ops::FrozenWeight::from_nf4(ops::FrozenWeight::quantize(dense, double_quant),
                                     member.out_features, spec.in_features);
}

// The gradients of the adapters are zero at first.
inline ops::LinearGroup random_group(const GroupSpec& spec, uint64_t seed = 1) {
  ops::LinearGroup group;
  group.in_features = spec.in_features;
  group.dropout = spec.dropout;
  int64_t num_adapters = 0;
  int64_t b_size = 0;
  for (const MemberSpec& member : spec.members) {
    if (!member.lora) continue;
    ++num_adapters;
    b_size += member.out_features * spec.rank;
  }
  const int64_t a_size = num_adapters * spec.rank * spec.in_features;
  if (num_adapters > 0) {
    group.parameters = at::empty({a_size + b_size}, c10::kFloat);
    group.stacked_a = group.parameters.narrow(0, 0, a_size).view({-1, spec.in_features});
    group.stacked_a.copy_(
        random_tensor(group.stacked_a.sizes(), seed + 1, c10::kFloat, 1.0 / std::sqrt(40.0)));
    group.stacked_grad_a = at::zeros(group.stacked_a.sizes(), c10::kFloat);
  }
  int64_t row = 0;
  int64_t b_offset = a_size;
  for (size_t i = 0; i < spec.members.size(); ++i) {
    const MemberSpec& of = spec.members[i];
    const uint64_t member_seed = seed * 100 + i;
    ops::Linear member{.module = "m" + std::to_string(i),
                       .weight = random_weight(spec, of, member_seed),
                       .first_row = group.out_features};
    if (of.bias) member.bias = random_tensor({of.out_features}, member_seed + 10, spec.compute);
    if (of.lora) {
      const int64_t size = of.out_features * spec.rank;
      const at::Tensor b =
          group.parameters.narrow(0, b_offset, size).view({of.out_features, spec.rank});
      b.copy_(random_tensor(b.sizes(), member_seed + 20, c10::kFloat, spec.b_scale));
      b_offset += size;
      member.lora = {.a = group.stacked_a.narrow(0, row, spec.rank),
                     .b = b,
                     .grad_a = group.stacked_grad_a.narrow(0, row, spec.rank),
                     .grad_b = at::zeros({of.out_features, spec.rank}, c10::kFloat),
                     .scaling = spec.scaling,
                     .module_key = stream_of(member.module)};
      row += spec.rank;
    }
    group.out_features += of.out_features;
    group.members.push_back(std::move(member));
  }
  return group;
}

// The tensor without its values; undefined where it is.
inline at::Tensor meta_copy(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  return at::empty(tensor.sizes(), tensor.options().device(c10::kMeta))
      .requires_grad_(tensor.requires_grad());
}

// How far an operator's tensors may be from their reference. fp32: summation noise. bf16: operands
// and results are rounded to 8 bits, so each tensor as a whole is off by some 2^-9, twice where two
// roundings follow each other.
inline double tolerance(const ops::Precision& precision) {
  return precision.compute == c10::kFloat ? 1e-6 : 6e-3;
}

// The same shapes on the meta device, unfilled.
inline ops::LinearGroup meta_copy(const ops::LinearGroup& group, const GroupSpec& spec) {
  ops::LinearGroup copy = group;
  copy.stacked_a = meta_copy(group.stacked_a);
  copy.stacked_grad_a = meta_copy(group.stacked_grad_a);
  copy.parameters = meta_copy(group.parameters);
  copy.resident_weight = meta_copy(group.resident_weight);
  for (ops::Linear& member : copy.members) {
    const int64_t out = member.weight.out_features();
    const auto double_quant = spec.weights == WeightKind::kNf4DoubleQuant ? ops::DoubleQuant::kOn
                                                                          : ops::DoubleQuant::kOff;
    member.weight =
        member.weight.quantized()
            ? ops::FrozenWeight::from_nf4(
                  ops::FrozenWeight::allocate_nf4(out * spec.in_features, double_quant, c10::kMeta),
                  out, spec.in_features)
            : ops::FrozenWeight::from_dense(meta_copy(member.weight.dense()));
    member.bias = meta_copy(member.bias);
    for (at::Tensor* tensor :
         {&member.lora.a, &member.lora.b, &member.lora.grad_a, &member.lora.grad_b}) {
      *tensor = meta_copy(*tensor);
    }
  }
  return copy;
}

inline at::Tensor leaf(const at::Tensor& tensor) {
  return tensor.detach().to(c10::kDouble, /*non_blocking=*/false, /*copy=*/true).requires_grad_();
}

// Factors of the dropout in front of a member: 0 or 1 / (1 - p).
inline at::Tensor dropout_mask(const std::vector<uint64_t>& row_keys, uint64_t module_key, double p,
                               int64_t cols) {
  const auto rows = static_cast<int64_t>(row_keys.size());
  at::Tensor mask = at::empty({rows, cols}, c10::kDouble);
  auto values = mask.accessor<double, 2>();
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t key = kernels::dropout_key(row_keys[static_cast<size_t>(row)], module_key);
    for (int64_t col = 0; col < cols; ++col) {
      const bool kept = kernels::dropout_bits(key, static_cast<uint32_t>(col)) >=
                        kernels::dropout_threshold(static_cast<float>(p));
      values[row][col] = kept ? 1.0 / (1.0 - p) : 0.0;
    }
  }
  return mask;
}

inline at::Tensor stage_reference(const ops::InputStage& stage, const at::Tensor& x) {
  if (const auto* norm = std::get_if<ops::NormInput>(&stage)) {
    return x * (x.square().mean(-1, /*keepdim=*/true) + norm->eps).rsqrt() *
           norm->weight.to(c10::kDouble);
  }
  if (std::holds_alternative<ops::SwigluInput>(stage)) {
    return at::silu(x.narrow(1, 0, x.size(1) / 2)) * x.narrow(1, x.size(1) / 2, x.size(1) / 2);
  }
  return x;
}

// What project() is to compute, as ATen computes it in double precision.
struct ProjectReference {
  at::Tensor x;
  at::Tensor residual;
  std::vector<at::Tensor> a;  // of every member with an adapter
  std::vector<at::Tensor> b;
  at::Tensor y;

  ProjectReference(const at::Tensor& input, const ops::InputStage& stage,
                   const ops::LinearGroup& group, const ops::ProjectOptions& options,
                   const std::vector<uint64_t>& row_keys)
      : x(leaf(input)) {
    const at::Tensor h = stage_reference(stage, x);
    std::vector<at::Tensor> outputs;
    for (const ops::Linear& member : group.members) {
      at::Tensor weight =
          at::empty({member.weight.out_features(), group.in_features}, options.precision.compute);
      member.weight.write_to(weight);
      at::Tensor out = h.matmul(weight.to(c10::kDouble).t());
      if (member.bias.defined()) out = out + member.bias.to(c10::kDouble);
      if (member.lora.defined()) {
        a.push_back(leaf(member.lora.a));
        b.push_back(leaf(member.lora.b));
        at::Tensor dropped = h;
        if (options.row_keys.defined() && group.dropout > 0.0) {
          dropped = h * dropout_mask(row_keys, member.lora.module_key, group.dropout, h.size(1));
        }
        out = out + dropped.matmul(a.back().t()).matmul(b.back().t()) * member.lora.scaling;
      }
      outputs.push_back(out);
    }
    y = at::cat(outputs, 1);
    if (options.residual.defined()) {
      residual = leaf(options.residual);
      y = y + residual;
    }
  }
};

}  // namespace rung::testing
