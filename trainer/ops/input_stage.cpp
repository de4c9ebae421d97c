#include "ops/input_stage.h"

#include <ATen/ops/empty.h>

#include "memory/counter.h"
#include "ops/kernel_set.h"

namespace rung::ops {
namespace {

using memory::Component;
using memory::ComponentScope;

kernels::RmsNormShape norm_shape(const at::Tensor& x) {
  return {.rows = x.size(0), .cols = x.size(1), .x_stride = x.stride(0), .y_stride = x.size(1)};
}

StagedInput forward(const NormInput& stage, const at::Tensor& x) {
  StagedInput staged;
  staged.h = at::empty(x.sizes(), x.options());
  staged.rstd = at::empty({x.size(0)}, x.options().dtype(c10::kFloat));
  kernels_of(x).rms_norm_forward(x, stage.weight, stage.eps, norm_shape(x), staged.h, staged.rstd);
  return staged;
}

StagedInput forward(const SwigluInput&, const at::Tensor& x) {
  const int64_t inter = x.size(1) / 2;
  StagedInput staged;
  staged.h = at::empty({x.size(0), inter}, x.options());
  kernels_of(x).swiglu_forward(x, staged.h);
  return staged;
}

StagedInput forward(const PlainInput&, const at::Tensor& x) { return {.h = x, .rstd = {}}; }

at::Tensor backward(const NormInput& stage, const at::Tensor& dh, const at::Tensor& x,
                    const at::Tensor& rstd) {
  at::Tensor dx = at::empty(x.sizes(), x.options());
  kernels_of(x).rms_norm_backward(dh, x, stage.weight, rstd, norm_shape(x), dx);
  return dx;
}

at::Tensor backward(const SwigluInput&, const at::Tensor& dh, const at::Tensor& x,
                    const at::Tensor&) {
  at::Tensor dx = at::empty(x.sizes(), x.options());
  kernels_of(x).swiglu_backward(dh, x, dx);
  return dx;
}

at::Tensor backward(const PlainInput&, const at::Tensor& dh, const at::Tensor&, const at::Tensor&) {
  return dh;
}

}  // namespace

StagedInput stage_forward(const InputStage& stage, const at::Tensor& x) {
  TORCH_INTERNAL_ASSERT(x.dim() == 2 && x.is_contiguous());
  const ComponentScope scope(Component::kWorkspace);
  return std::visit([&](const auto& s) { return forward(s, x); }, stage);
}

at::Tensor stage_backward(const InputStage& stage, const at::Tensor& dh, const at::Tensor& x,
                          const at::Tensor& rstd) {
  return std::visit([&](const auto& s) { return backward(s, dh, x, rstd); }, stage);
}

}  // namespace rung::ops
