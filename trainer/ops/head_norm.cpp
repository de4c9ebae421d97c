#include "ops/head_norm.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include "ops/graph.h"
#include "ops/kernel_set.h"

namespace rung::ops {
namespace {

using kernels::RmsNormShape;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

struct Deviations {
  at::Tensor q;  // [tokens, num_heads] fp32
  at::Tensor k;  // [tokens, num_kv_heads] fp32
};

RmsNormShape shape_of(const at::Tensor& qkv, const HeadNorm& norm, int64_t heads) {
  return {.rows = qkv.size(0),
          .cols = norm.head_dim,
          .x_stride = qkv.size(1),
          .y_stride = qkv.size(1),
          .heads = heads};
}

// The q, or the k, heads of x [tokens, (num_heads + 2 * num_kv_heads) * head_dim]: a view.
at::Tensor q_of(const at::Tensor& x, const HeadNorm& norm) {
  return x.narrow(1, 0, norm.num_heads * norm.head_dim);
}
at::Tensor k_of(const at::Tensor& x, const HeadNorm& norm) {
  return x.narrow(1, norm.num_heads * norm.head_dim, norm.num_kv_heads * norm.head_dim);
}

// Normalises q and k of `x` in place.
void forward_(const at::Tensor& x, const HeadNorm& norm, const Deviations& deviations) {
  const KernelSet& kernels = kernels_of(x);
  const at::Tensor q = q_of(x, norm);
  const at::Tensor k = k_of(x, norm);
  kernels.rms_norm_forward(q, norm.q_weight, norm.eps, shape_of(x, norm, norm.num_heads), q,
                           deviations.q);
  kernels.rms_norm_forward(k, norm.k_weight, norm.eps, shape_of(x, norm, norm.num_kv_heads), k,
                           deviations.k);
}

// Turns the gradient of the normalised heads into that of qkv in place.
void backward_(const at::Tensor& gradient, const at::Tensor& qkv, const HeadNorm& norm,
               const Deviations& deviations) {
  const KernelSet& kernels = kernels_of(qkv);
  const at::Tensor dq = q_of(gradient, norm);
  const at::Tensor dk = k_of(gradient, norm);
  kernels.rms_norm_backward(dq, q_of(qkv, norm), norm.q_weight, deviations.q, {},
                            shape_of(qkv, norm, norm.num_heads), dq);
  kernels.rms_norm_backward(dk, k_of(qkv, norm), norm.k_weight, deviations.k, {},
                            shape_of(qkv, norm, norm.num_kv_heads), dk);
}

class HeadNormNode final : public torch::autograd::Node {
 public:
  HeadNormNode(const at::Tensor& qkv, HeadNorm norm, Deviations deviations)
      : qkv_(qkv, /*is_output=*/false),
        norm_(std::move(norm)),
        deviations_(std::move(deviations)) {}

  // The incoming gradient becomes the outgoing one in place: it is the rotary node's own buffer,
  // and v's part passes.
  variable_list apply(variable_list&& grads) override {
    const c10::NoGradGuard no_grad;
    const at::Tensor qkv = qkv_.unpack();
    qkv_.reset_data();
    backward_(grads[0], qkv, norm_, deviations_);
    return std::move(grads);
  }
  void release_variables() override {
    qkv_.reset_data();
    deviations_ = {};
  }
  std::string name() const override { return "HeadNorm"; }

 private:
  SavedVariable qkv_;
  HeadNorm norm_;
  Deviations deviations_;
};

}  // namespace

at::Tensor head_norm(const at::Tensor& qkv, const HeadNorm& norm) {
  at::Tensor normed;
  Deviations deviations;
  {
    const c10::NoGradGuard no_grad;
    const auto floats = qkv.options().dtype(c10::kFloat).requires_grad(false);
    normed = at::empty(qkv.sizes(), qkv.options());
    deviations = {at::empty({qkv.size(0), norm.num_heads}, floats),
                  at::empty({qkv.size(0), norm.num_kv_heads}, floats)};
    if (!normed.is_meta()) normed.copy_(qkv);
    forward_(normed, norm, deviations);
  }
  if (wants_gradient(qkv)) record<HeadNormNode>({qkv}, {normed}, qkv, norm, std::move(deviations));
  return normed;
}

}  // namespace rung::ops
