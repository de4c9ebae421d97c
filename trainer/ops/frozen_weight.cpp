#include "ops/frozen_weight.h"

#include <ATen/ops/empty.h>

#include <cstring>

#include "ops/dispatch.h"

namespace rung::ops {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

kernels::Nf4View view_of(const Nf4Tensors& tensors, int64_t num_elements) {
  kernels::Nf4View view;
  view.codes = tensors.codes.const_data_ptr<uint8_t>();
  view.num_elements = num_elements;
  if (tensors.absmax.defined()) {
    view.absmax = tensors.absmax.const_data_ptr<float>();
  } else {
    view.absmax_codes = tensors.absmax_codes.const_data_ptr<uint8_t>();
    view.nested_absmax = tensors.nested_absmax.const_data_ptr<float>();
    view.nested_map = tensors.nested_map.const_data_ptr<float>();
    view.nested_offset = tensors.nested_offset;
  }
  return view;
}

}  // namespace

FrozenWeight FrozenWeight::from_dense(at::Tensor dense) {
  FrozenWeight weight;
  weight.out_features_ = dense.size(0);
  weight.in_features_ = dense.size(1);
  weight.dense_ = std::move(dense);
  return weight;
}

FrozenWeight FrozenWeight::from_nf4(Nf4Tensors tensors, int64_t out_features, int64_t in_features) {
  FrozenWeight weight;
  weight.out_features_ = out_features;
  weight.in_features_ = in_features;
  weight.nf4_ = std::move(tensors);
  return weight;
}

Nf4Tensors FrozenWeight::allocate_nf4(int64_t num_elements, DoubleQuant double_quant,
                                      c10::Device device) {
  const auto bytes = at::TensorOptions(device).dtype(c10::kByte);
  const auto floats = at::TensorOptions(device).dtype(c10::kFloat);
  const int64_t blocks = ceil_div(num_elements, kernels::kNf4Block);
  Nf4Tensors tensors;
  tensors.codes = at::empty({ceil_div(num_elements, 2)}, bytes);
  if (double_quant == DoubleQuant::kOff) {
    tensors.absmax = at::empty({blocks}, floats);
  } else {
    tensors.absmax_codes = at::empty({blocks}, bytes);
    tensors.nested_absmax = at::empty({ceil_div(blocks, kernels::kNf4NestedBlock)}, floats);
    tensors.nested_map = at::empty({256}, floats);
  }
  return tensors;
}

Nf4Tensors FrozenWeight::quantize(const at::Tensor& source, DoubleQuant double_quant) {
  const int64_t num_elements = source.numel();
  Nf4Tensors tensors = allocate_nf4(num_elements, double_quant, source.device());
  if (source.is_meta()) return tensors;
  at::Tensor absmax = tensors.absmax;
  if (double_quant == DoubleQuant::kOn) {
    absmax = at::empty({tensors.absmax_codes.numel()}, source.options().dtype(c10::kFloat));
  }
  with_type(source.scalar_type(), [&]<typename T>() {
    kernels::cpu::nf4_quantize(static_cast<const T*>(source.const_data_ptr()), num_elements,
                               tensors.codes.data_ptr<uint8_t>(), absmax.data_ptr<float>());
  });
  if (double_quant == DoubleQuant::kOn) {
    kernels::cpu::nf4_quantize_absmax(
        absmax.const_data_ptr<float>(), absmax.numel(), tensors.absmax_codes.data_ptr<uint8_t>(),
        tensors.nested_absmax.data_ptr<float>(), &tensors.nested_offset);
    std::memcpy(tensors.nested_map.data_ptr<float>(), kernels::cpu::nf4_nested_map(),
                256 * sizeof(float));
  }
  return tensors;
}

void FrozenWeight::write_to(at::Tensor& out, c10::ScalarType compute) const {
  TORCH_INTERNAL_ASSERT(out.is_contiguous() && out.size(0) == out_features_ &&
                        out.size(1) == in_features_);
  if (out.is_meta()) return;
  if (!quantized()) {
    out.copy_(dense_);
    return;
  }
  with_types(compute, out.scalar_type(), [&]<typename T, typename Out>() {
    kernels::cpu::nf4_dequantize<T, Out>(view_of(nf4_, out_features_ * in_features_),
                                         data_of<Out>(out));
  });
}

}  // namespace rung::ops
