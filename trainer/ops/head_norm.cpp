#include "ops/head_norm.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include "kernels/rms_norm.h"
#include "ops/dispatch.h"
#include "ops/graph.h"

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

// Normalises q and k of `x` in place.
void forward_(at::Tensor& x, const HeadNorm& norm, const Deviations& deviations) {
  if (x.is_meta()) return;
  const auto eps = static_cast<float>(norm.eps);
  with_type(x.scalar_type(), [&]<typename T>() {
    T* q = data_of<T>(x);
    T* k = q + norm.num_heads * norm.head_dim;
    kernels::cpu::rms_norm_forward<T, T>(q, data_of<T>(norm.q_weight), eps,
                                         shape_of(x, norm, norm.num_heads), q,
                                         data_of<float>(deviations.q));
    kernels::cpu::rms_norm_forward<T, T>(k, data_of<T>(norm.k_weight), eps,
                                         shape_of(x, norm, norm.num_kv_heads), k,
                                         data_of<float>(deviations.k));
  });
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
    at::Tensor& gradient = grads[0];
    if (!gradient.is_meta()) {
      with_type(qkv.scalar_type(), [&]<typename T>() { run<T>(qkv, gradient); });
    }
    return std::move(grads);
  }
  void release_variables() override { qkv_.reset_data(); }
  std::string name() const override { return "HeadNorm"; }

 private:
  template <typename T>
  void run(const at::Tensor& qkv, at::Tensor& gradient) const {
    const int64_t k_offset = norm_.num_heads * norm_.head_dim;
    T* dq = data_of<T>(gradient);
    const T* q = data_of<T>(qkv);
    kernels::cpu::rms_norm_backward<T, T>(dq, q, data_of<T>(norm_.q_weight),
                                          data_of<float>(deviations_.q),
                                          shape_of(qkv, norm_, norm_.num_heads), dq);
    kernels::cpu::rms_norm_backward<T, T>(dq + k_offset, q + k_offset, data_of<T>(norm_.k_weight),
                                          data_of<float>(deviations_.k),
                                          shape_of(qkv, norm_, norm_.num_kv_heads), dq + k_offset);
  }

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
  if (wants_gradient(qkv)) record<HeadNormNode>({qkv}, normed, qkv, norm, std::move(deviations));
  return normed;
}

}  // namespace rung::ops
