#include "ops/input_stage.h"

#include <ATen/ops/empty.h>

#include "memory/counter.h"
#include "ops/graph.h"
#include "ops/kernel_set.h"

namespace rung::ops {
namespace {

using memory::Component;
using memory::ComponentScope;

kernels::RmsNormShape norm_shape(const at::Tensor& x) {
  return {.rows = x.size(0), .cols = x.size(1), .x_stride = x.stride(0), .y_stride = x.size(1)};
}

at::Tensor forward(const NormInput& norm, const at::Tensor& x) { return norm_forward(norm, x).h; }

at::Tensor forward(const SwigluInput&, const at::Tensor& x) {
  at::Tensor h = at::empty({x.size(0), x.size(1) / 2}, x.options());
  kernels_of(x).swiglu_forward(x, h);
  return h;
}

at::Tensor forward(const PlainInput&, const at::Tensor& x) { return x; }

StageGradient backward(const NormInput& norm, const at::Tensor& dh, const at::Tensor& x,
                       const at::Tensor& passed) {
  const Normed normed = norm_forward(norm, x);
  norm_backward_(norm, dh, x, normed.rstd, passed);
  return {.h = normed.h, .dx = dh};
}

StageGradient backward(const SwigluInput&, const at::Tensor& dh, const at::Tensor& x,
                       const at::Tensor&) {
  const at::Tensor dx = is_held_alone(x) ? x : at::empty(x.sizes(), x.options());
  kernels_of(x).swiglu_backward(dh, x, dx, /*h=*/dh);
  return {.h = dh, .dx = dx};
}

StageGradient backward(const PlainInput&, const at::Tensor& dh, const at::Tensor& x,
                       const at::Tensor&) {
  return {.h = x, .dx = dh};
}

}  // namespace

at::Tensor stage_forward(const InputStage& stage, const at::Tensor& x) {
  TORCH_INTERNAL_ASSERT(x.dim() == 2 && x.is_contiguous());
  const ComponentScope scope(Component::kWorkspace);
  return std::visit([&](const auto& s) { return forward(s, x); }, stage);
}

StageGradient stage_backward(const InputStage& stage, const at::Tensor& dh, const at::Tensor& x,
                             const at::Tensor& passed) {
  TORCH_INTERNAL_ASSERT(dh.is_contiguous());
  TORCH_INTERNAL_ASSERT(!passed.defined() || std::holds_alternative<NormInput>(stage));
  return std::visit([&](const auto& s) { return backward(s, dh, x, passed); }, stage);
}

Normed norm_forward(const NormInput& norm, const at::Tensor& x) {
  const ComponentScope scope(Component::kWorkspace);
  Normed normed = {.h = at::empty(x.sizes(), x.options()),
                   .rstd = at::empty({x.size(0)}, x.options().dtype(c10::kFloat))};
  kernels_of(x).rms_norm_forward(x, norm.weight, norm.eps, norm_shape(x), normed.h, normed.rstd);
  return normed;
}

void norm_backward_(const NormInput& norm, const at::Tensor& dh, const at::Tensor& x,
                    const at::Tensor& rstd, const at::Tensor& passed) {
  TORCH_INTERNAL_ASSERT(x.is_contiguous() && dh.sizes() == x.sizes());
  TORCH_INTERNAL_ASSERT(!passed.defined() || passed.sizes() == x.sizes());
  const at::Tensor dense = passed.defined() ? passed.contiguous() : passed;
  kernels_of(x).rms_norm_backward(dh, x, norm.weight, rstd, dense, norm_shape(x), dh);
}

NormedSum norm_sum_forward(const NormInput& norm, const at::Tensor& x, const at::Tensor& update) {
  TORCH_INTERNAL_ASSERT(x.dim() == 2 && x.is_contiguous());
  TORCH_INTERNAL_ASSERT(update.is_contiguous() && update.sizes() == x.sizes());
  NormedSum result;
  result.sum = is_held_alone(update) ? update.detach() : at::empty(x.sizes(), x.options());
  const ComponentScope scope(Component::kWorkspace);
  result.h = at::empty(x.sizes(), x.options());
  kernels_of(x).rms_norm_add_forward(update, x, norm.weight, norm.eps, norm_shape(x), result.sum,
                                     result.h);
  return result;
}

}  // namespace rung::ops
