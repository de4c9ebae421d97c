#include "ops/input_stage.h"

#include <ATen/ops/empty.h>

#include "memory/counter.h"
#include "ops/gemm.h"
#include "ops/kernel_set.h"

namespace rung::ops {
namespace {

using memory::Component;
using memory::ComponentScope;

kernels::RmsNormShape norm_shape(const at::Tensor& x) {
  return {.rows = x.size(0), .cols = x.size(1), .x_stride = x.stride(0), .y_stride = x.size(1)};
}

StagedInput forward(const NormInput& stage, const at::Tensor& x, const Precision& precision) {
  StagedInput staged;
  staged.h = at::empty(x.sizes(), x.options().dtype(precision.gemm));
  staged.rstd = at::empty({x.size(0)}, x.options().dtype(c10::kFloat));
  kernels_of(x).rms_norm_forward(x, stage.weight, stage.eps, norm_shape(x), staged.h, staged.rstd);
  return staged;
}

StagedInput forward(const SwigluInput&, const at::Tensor& x, const Precision& precision) {
  const int64_t inter = x.size(1) / 2;
  StagedInput staged;
  staged.h = at::empty({x.size(0), inter}, x.options().dtype(precision.gemm));
  kernels_of(x).swiglu_forward(x, staged.h);
  return staged;
}

StagedInput forward(const PlainInput&, const at::Tensor& x, const Precision& precision) {
  return {.h = as_dtype(x, precision.gemm), .rstd = {}};
}

at::Tensor backward(const NormInput& stage, const at::Tensor& dh, const at::Tensor& x,
                    const at::Tensor& rstd, const Precision&) {
  at::Tensor dx = at::empty(x.sizes(), x.options());
  kernels_of(x).rms_norm_backward(dh, x, stage.weight, rstd, norm_shape(x), dx);
  return dx;
}

at::Tensor backward(const SwigluInput&, const at::Tensor& dh, const at::Tensor& x,
                    const at::Tensor&, const Precision&) {
  at::Tensor dx = at::empty(x.sizes(), x.options());
  kernels_of(x).swiglu_backward(dh, x, dx);
  return dx;
}

at::Tensor backward(const PlainInput&, const at::Tensor& dh, const at::Tensor&, const at::Tensor&,
                    const Precision& precision) {
  return as_dtype(dh, precision.compute);
}

}  // namespace

StagedInput stage_forward(const InputStage& stage, const at::Tensor& x,
                          const Precision& precision) {
  TORCH_INTERNAL_ASSERT(x.dim() == 2 && x.is_contiguous());
  const ComponentScope scope(Component::kWorkspace);
  return std::visit([&](const auto& s) { return forward(s, x, precision); }, stage);
}

at::Tensor stage_backward(const InputStage& stage, const at::Tensor& dh, const at::Tensor& x,
                          const at::Tensor& rstd, const Precision& precision) {
  return std::visit([&](const auto& s) { return backward(s, dh, x, rstd, precision); }, stage);
}

}  // namespace rung::ops
