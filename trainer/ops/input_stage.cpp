#include "ops/input_stage.h"

#include <ATen/ops/empty.h>

#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"
#include "memory/counter.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"

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
  if (x.is_meta()) return staged;
  with_types(precision.compute, precision.gemm, [&]<typename T, typename Out>() {
    kernels::cpu::rms_norm_forward<T, Out>(data_of<T>(x), data_of<T>(stage.weight),
                                           static_cast<float>(stage.eps), norm_shape(x),
                                           data_of<Out>(staged.h), data_of<float>(staged.rstd));
  });
  return staged;
}

StagedInput forward(const SwigluInput&, const at::Tensor& x, const Precision& precision) {
  const int64_t inter = x.size(1) / 2;
  StagedInput staged;
  staged.h = at::empty({x.size(0), inter}, x.options().dtype(precision.gemm));
  if (x.is_meta()) return staged;
  with_types(precision.compute, precision.gemm, [&]<typename T, typename Out>() {
    kernels::cpu::swiglu_forward<T, Out>(data_of<T>(x), x.size(0), inter, data_of<Out>(staged.h));
  });
  return staged;
}

StagedInput forward(const PlainInput&, const at::Tensor& x, const Precision& precision) {
  return {.h = as_dtype(x, precision.gemm), .rstd = {}};
}

at::Tensor backward(const NormInput& stage, const at::Tensor& dh, const at::Tensor& x,
                    const at::Tensor& rstd, const Precision& precision) {
  at::Tensor dx = at::empty(x.sizes(), x.options());
  if (x.is_meta()) return dx;
  with_types(precision.compute, precision.gemm, [&]<typename T, typename Grad>() {
    kernels::cpu::rms_norm_backward<T, Grad>(data_of<Grad>(dh), data_of<T>(x),
                                             data_of<T>(stage.weight), data_of<float>(rstd),
                                             norm_shape(x), data_of<T>(dx));
  });
  return dx;
}

at::Tensor backward(const SwigluInput&, const at::Tensor& dh, const at::Tensor& x,
                    const at::Tensor&, const Precision& precision) {
  at::Tensor dx = at::empty(x.sizes(), x.options());
  if (x.is_meta()) return dx;
  with_types(precision.compute, precision.gemm, [&]<typename T, typename Grad>() {
    kernels::cpu::swiglu_backward<T, Grad>(data_of<Grad>(dh), data_of<T>(x), x.size(0),
                                           x.size(1) / 2, data_of<T>(dx));
  });
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
