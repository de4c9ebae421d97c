#include "ops/project.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <vector>

#include "memory/counter.h"
#include "ops/gemm.h"
#include "ops/graph.h"
#include "ops/kernel_set.h"

namespace rung::ops {
namespace {

using memory::Component;
using memory::ComponentScope;
using torch::autograd::variable_list;

bool has_adapter(const LinearGroup& group) { return group.stacked_a.defined(); }

// The adapters of a group in the dtype of a product: one conversion for all of them. Empty where
// there is none.
struct AdapterOperands {
  at::Tensor a;               // [sum of r, in]
  std::vector<at::Tensor> b;  // [out, r] for each member with an adapter
};

AdapterOperands operands_of(const LinearGroup& group, c10::ScalarType dtype) {
  if (!has_adapter(group)) return {};
  const at::Tensor all = as_dtype(group.parameters, dtype);
  int64_t offset = 0;
  const auto next = [&](const at::Tensor& like) {
    const at::Tensor matrix = all.narrow(0, offset, like.numel()).view(like.sizes());
    offset += like.numel();
    return matrix;
  };
  AdapterOperands operands{.a = next(group.stacked_a), .b = {}};
  for (const Linear& member : group.members) {
    if (member.lora.defined()) operands.b.push_back(next(member.lora.b));
  }
  TORCH_INTERNAL_ASSERT(offset == all.numel());
  return operands;
}

// Calls visit(member, index among those with an adapter, first column among their ranks).
template <typename Visit>
void for_each_adapter(const LinearGroup& group, const Visit& visit) {
  size_t index = 0;
  int64_t column = 0;
  for (const Linear& member : group.members) {
    if (!member.lora.defined()) continue;
    visit(member, index, column);
    column += member.lora.a.size(0);
    ++index;
  }
}

bool has_dropout(const LinearGroup& group, const ProjectOptions& options) {
  return options.row_keys.defined() && group.dropout > 0.0;
}

DropoutDraw mask_of(const Linear& member, const LinearGroup& group, const ProjectOptions& options) {
  return {.row_keys = options.row_keys,
          .module_key = member.lora.module_key,
          .probability = group.dropout};
}

// D(h) for one member; h itself where there is no dropout.
at::Tensor dropped(const at::Tensor& h, const Linear& member, const LinearGroup& group,
                   const ProjectOptions& options) {
  if (!has_dropout(group, options)) return h;
  at::Tensor out = at::empty(h.sizes(), h.options());
  kernels_of(h).lora_dropout(h, mask_of(member, group, options), out);
  return out;
}

// H = D(h) A' for every adapter of the group, side by side: [tokens, sum of r].
at::Tensor down_project(const at::Tensor& h, const at::Tensor& a, const LinearGroup& group,
                        const ProjectOptions& options) {
  at::Tensor low = at::empty({h.size(0), a.size(0)}, h.options());
  if (!has_dropout(group, options)) {
    gemm_set(low, h, a.t(), options.precision);
    return low;
  }
  for_each_adapter(group, [&](const Linear& member, size_t, int64_t column) {
    const int64_t r = member.lora.a.size(0);
    at::Tensor slice = low.narrow(1, column, r);
    gemm_set(slice, dropped(h, member, group, options), a.narrow(0, column, r).t(),
             options.precision);
  });
  return low;
}

bool has_bias(const LinearGroup& group) {
  return std::ranges::any_of(group.members,
                             [](const Linear& member) { return member.bias.defined(); });
}

// y [tokens, out] = the adapters' part, zero for members without one.
void set_to_adapters(const at::Tensor& h, const LinearGroup& group, const ProjectOptions& options,
                     at::Tensor& y) {
  const AdapterOperands adapters = operands_of(group, h.scalar_type());
  const at::Tensor low = down_project(h, adapters.a, group, options);
  const auto columns_of = [&](const Linear& member) {
    return y.narrow(1, member.first_row, member.weight.out_features());
  };
  for_each_adapter(group, [&](const Linear& member, size_t index, int64_t column) {
    at::Tensor slice = columns_of(member);
    gemm_set(slice, low.narrow(1, column, member.lora.a.size(0)), adapters.b[index].t(),
             options.precision, member.lora.scaling);
  });
  if (y.is_meta()) return;
  for (const Linear& member : group.members) {
    if (!member.lora.defined()) columns_of(member).zero_();
  }
}

// y [tokens, out] = adapters + h W'. The adapters' part comes first and has an exponent of its own;
// the GEMM adds onto it in fp32 and rounds once, so that small updates are not lost in a rounded
// product of the base.
void forward_onto_adapters(const at::Tensor& h, const LinearGroup& group,
                           const ProjectOptions& options, at::Tensor& y) {
  const at::Tensor w = stacked_weight(group, options.precision, h.device(), options.weights);
  if (!has_adapter(group)) {
    gemm_set(y, h, w.t(), options.precision);
    return;
  }
  set_to_adapters(h, group, options, y);
  gemm_add(y, h, w.t(), options.precision);
}

// With biases, in fp32: nothing is rounded in between, so they may be added at the end.
void forward_biased_fp32(const at::Tensor& h, const LinearGroup& group,
                         const ProjectOptions& options, at::Tensor& y) {
  forward_onto_adapters(h, group, options, y);
  for (const Linear& member : group.members) {
    if (!member.bias.defined()) continue;
    const at::Tensor bias = as_dtype(member.bias, y.scalar_type());
    if (!y.is_meta()) y.narrow(1, member.first_row, member.weight.out_features()).add_(bias);
  }
}

// With biases, in 16 bits: y = [h | s H | 1] [W | B | bias]' in one GEMM, because a large bias
// would swallow a small update as the base's product does. B is block-diagonal over the members; K
// is padded to a multiple of 8.
void forward_extended(const at::Tensor& h, const LinearGroup& group, const ProjectOptions& options,
                      at::Tensor& y) {
  const int64_t in = group.in_features;
  const int64_t rank = has_adapter(group) ? group.stacked_a.size(0) : 0;
  const int64_t k = (in + rank + 1 + 7) / 8 * 8;
  at::Tensor x_ext = at::empty({h.size(0), k}, h.options());
  at::Tensor w_ext = at::empty({group.out_features, k}, h.options());
  const AdapterOperands adapters = operands_of(group, h.scalar_type());
  const at::Tensor low = rank > 0 ? down_project(h, adapters.a, group, options) : at::Tensor();
  const at::Tensor w = stacked_weight(group, options.precision, h.device(), options.weights);
  if (!h.is_meta()) {
    x_ext.narrow(1, in, k - in).zero_();
    w_ext.narrow(1, in, k - in).zero_();
    x_ext.narrow(1, 0, in).copy_(h);
    w_ext.narrow(1, 0, in).copy_(w);
    x_ext.narrow(1, in + rank, 1).fill_(1.0);
    const auto rows_of = [&](const Linear& member) {
      return w_ext.narrow(0, member.first_row, member.weight.out_features());
    };
    for (const Linear& member : group.members) {
      if (member.bias.defined()) rows_of(member).select(1, in + rank).copy_(member.bias);
    }
    for_each_adapter(group, [&](const Linear& member, size_t index, int64_t column) {
      const int64_t r = member.lora.a.size(0);
      rows_of(member).narrow(1, in + column, r).copy_(adapters.b[index]);
      at::Tensor low_ext = x_ext.narrow(1, in + column, r);
      low_ext.copy_(low.narrow(1, column, r));
      scale_(low_ext, member.lora.scaling);
    });
  }
  gemm_set(y, x_ext, w_ext.t(), options.precision);
}

// y [tokens, out] of h [tokens, in].
void multiply(const at::Tensor& h, const LinearGroup& group, const ProjectOptions& options,
              at::Tensor& y) {
  const ComponentScope scope(Component::kWorkspace);
  if (!has_bias(group)) {
    forward_onto_adapters(h, group, options, y);
  } else if (options.precision.compute == c10::kFloat) {
    forward_biased_fp32(h, group, options, y);
  } else {
    forward_extended(h, group, options, y);
  }
}

at::Tensor forward(const at::Tensor& x, const InputStage& stage, const LinearGroup& group,
                   const ProjectOptions& options) {
  const c10::NoGradGuard no_grad;
  if (options.output == Output::kUnread) {  // a shape for the graph to end in, on one element
    return at::empty_strided({x.size(0), group.out_features}, {0, 0}, x.options());
  }
  at::Tensor y = at::empty({x.size(0), group.out_features}, x.options());
  multiply(stage_forward(stage, x), group, options, y);
  if (options.residual.defined() && !y.is_meta()) y.add_(options.residual);
  return y;
}

Branch forward_branch(const at::Tensor& x, const at::Tensor& update, const NormInput& norm,
                      const LinearGroup& group, const ProjectOptions& options) {
  const c10::NoGradGuard no_grad;
  at::Tensor y = at::empty({x.size(0), group.out_features}, x.options());
  const NormedSum normed = update.defined()
                               ? norm_sum_forward(norm, x, update)
                               : NormedSum{.sum = x.detach(), .h = stage_forward(norm, x)};
  multiply(normed.h, group, options, y);
  return {.y = y, .stream = normed.sum};
}

// The way back through input stage, GEMM and adapters.
class ProjectNode : public torch::autograd::Node {
 public:
  ProjectNode(const at::Tensor& x, const InputStage& stage, const LinearGroup& group,
              const ProjectOptions& options)
      : x_(x.detach()), stage_(stage), group_(group), options_(options) {
    options_.residual.reset();  // its value is not needed again
  }

  // dY [tokens, out] -> dX, and dY itself for the residual; dA and dB are added to the adapters'
  // gradients.
  variable_list apply(variable_list&& grads) override {
    at::Tensor dx = backward(grads[0], /*passed=*/{});
    return {std::move(dx), std::move(grads[0])};
  }

  void release_variables() override { x_.reset(); }
  std::string name() const override { return "Project"; }

 protected:
  // With H = D(h) A' and Q = s dY B: dh = D'(Q A) + dY W, dB += s dY' H, dA += Q' D(h). h is made
  // after dh, because the stage makes it in the pass of its own gradient. Drops x.
  at::Tensor backward(const at::Tensor& gradient, const at::Tensor& passed) {
    const c10::NoGradGuard no_grad;
    const ComponentScope activations(Component::kActivations);  // graph.h says why
    const at::Tensor dy = gradient.contiguous();
    const at::Tensor dh = at::empty({dy.size(0), group_.in_features}, dy.options());
    const AdapterOperands adapters = operands_of(group_, dy.scalar_type());
    const at::Tensor q = input_gradient(dy, adapters, dh);
    at::Tensor x = std::move(x_);
    const StageGradient staged = stage_backward(stage_, dh, x, passed);
    x.reset();
    if (q.defined()) adapter_gradients(dy, staged.h, adapters.a, q);
    return staged.dx;
  }

 private:
  // Sets dh; returns Q [tokens, sum of r], undefined where there is no adapter. As in the forward
  // pass the adapters' part of dh comes first, where there is no dropout.
  at::Tensor input_gradient(const at::Tensor& dy, const AdapterOperands& adapters,
                            at::Tensor dh) const {
    const ComponentScope scope(Component::kWorkspace);
    const at::Tensor q = has_adapter(group_) ? low_rank_gradient(dy, adapters.b) : at::Tensor();
    const bool masked = q.defined() && has_dropout(group_, options_);
    if (q.defined() && !masked) gemm_set(dh, q, adapters.a, options_.precision);
    const at::Tensor w = stacked_weight(group_, options_.precision, dy.device(), options_.weights);
    if (q.defined() && !masked) {
      gemm_add(dh, dy, w, options_.precision);
    } else {
      gemm_set(dh, dy, w, options_.precision);
    }
    if (masked) add_masked(q, adapters.a, dh);
    return q;
  }

  // Q: s dY B for every adapter of the group, side by side.
  at::Tensor low_rank_gradient(const at::Tensor& dy, const std::vector<at::Tensor>& b) const {
    at::Tensor q = at::empty({dy.size(0), group_.stacked_a.size(0)}, dy.options());
    for_each_adapter(group_, [&](const Linear& member, size_t index, int64_t column) {
      at::Tensor q_m = q.narrow(1, column, member.lora.a.size(0));
      gemm_set(q_m, columns_of(dy, member), b[index], options_.precision, member.lora.scaling);
    });
    return q;
  }

  // Adds dA and dB.
  void adapter_gradients(const at::Tensor& dy, const at::Tensor& h, const at::Tensor& a,
                         const at::Tensor& q) const {
    const ComponentScope scope(Component::kWorkspace);
    const at::Tensor low = down_project(h, a, group_, options_);
    for_each_adapter(group_, [&](const Linear& member, size_t, int64_t column) {
      const int64_t r = member.lora.a.size(0);
      at::Tensor grad_b = member.lora.grad_b;
      gemm_accumulate(grad_b, columns_of(dy, member).t(), low.narrow(1, column, r),
                      options_.precision, member.lora.scaling);
      if (!has_dropout(group_, options_)) return;
      at::Tensor grad_a = member.lora.grad_a;
      gemm_accumulate(grad_a, q.narrow(1, column, r).t(), dropped(h, member, group_, options_),
                      options_.precision);
    });
    if (!has_dropout(group_, options_)) {
      at::Tensor grad_a = group_.stacked_grad_a;
      gemm_accumulate(grad_a, q.t(), h, options_.precision);
    }
  }

  // dh += D'(Q A), member by member: each has a mask of its own.
  void add_masked(const at::Tensor& q, const at::Tensor& a, at::Tensor& dh) const {
    for_each_adapter(group_, [&](const Linear& member, size_t, int64_t column) {
      const int64_t r = member.lora.a.size(0);
      at::Tensor dh_m = at::empty(dh.sizes(), dh.options());
      gemm_set(dh_m, q.narrow(1, column, r), a.narrow(0, column, r), options_.precision);
      kernels_of(dh).lora_dropout_accumulate(dh_m, mask_of(member, group_, options_), dh);
    });
  }

  static at::Tensor columns_of(const at::Tensor& dy, const Linear& member) {
    return dy.narrow(1, member.first_row, member.weight.out_features());
  }

  at::Tensor x_;
  InputStage stage_;
  const LinearGroup& group_;
  ProjectOptions options_;
};

// The same for a branch: what comes back along the stream joins the gradient of the norm.
class BranchNode final : public ProjectNode {
 public:
  using ProjectNode::ProjectNode;

  variable_list apply(variable_list&& grads) override {
    const at::Tensor passed = std::move(grads[1]);
    const at::Tensor dx = backward(grads[0], passed);
    return {dx, dx};
  }
  std::string name() const override { return "ProjectBranch"; }
};

}  // namespace

at::Tensor stacked_weight(const LinearGroup& group, const Precision& precision, c10::Device device,
                          WeightCache* cache) {
  const ComponentScope scope(Component::kWorkspace);
  if (cache != nullptr) {
    at::Tensor kept = cache->find(group);
    if (kept.defined()) return kept;
  }
  at::Tensor stacked;
  if (group.resident_weight.defined()) {
    stacked = group.resident_weight;
  } else {
    stacked = at::empty({group.out_features, group.in_features},
                        at::TensorOptions(device).dtype(precision.compute));
    for (const Linear& member : group.members) {
      at::Tensor rows = stacked.narrow(0, member.first_row, member.weight.out_features());
      member.weight.write_to(rows);
    }
  }
  if (cache != nullptr) cache->keep(group, stacked);
  return stacked;
}

at::Tensor project(const at::Tensor& x, const InputStage& stage, const LinearGroup& group,
                   const ProjectOptions& options) {
  at::Tensor y = forward(x, stage, group, options);
  if (wants_gradient(x)) {
    record<ProjectNode>({x, options.residual}, {y}, x, stage, group, options);
  }
  return y;
}

Branch project_branch(const at::Tensor& x, at::Tensor update, const NormInput& norm,
                      const LinearGroup& group, const ProjectOptions& options) {
  TORCH_INTERNAL_ASSERT(!options.residual.defined() && options.output == Output::kComputed);
  Branch branch = forward_branch(x, update, norm, group, options);
  if (wants_gradient(x) || (update.defined() && wants_gradient(update))) {
    record<BranchNode>({x, update}, {branch.y, branch.stream}, branch.stream, norm, group, options);
  }
  return branch;
}

}  // namespace rung::ops
