#include "ops/frozen_weight.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "kernels/ceil_div.h"
#include "memory/counter.h"
#include "ops/kernel_set.h"

namespace rung::ops {

using kernels::ceil_div;

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

Nf4Quantizer::Nf4Quantizer(int64_t num_elements, DoubleQuant double_quant, c10::Device device)
    : double_quant_(double_quant),
      tensors_(FrozenWeight::allocate_nf4(num_elements, double_quant, device)),
      absmax_(tensors_.absmax) {
  if (double_quant_ == DoubleQuant::kOff) return;
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  absmax_ =
      at::empty({tensors_.absmax_codes.numel()}, at::TensorOptions(device).dtype(c10::kFloat));
}

void Nf4Quantizer::add(int64_t first, const at::Tensor& piece) {
  TORCH_INTERNAL_ASSERT(first % kernels::kNf4Block == 0);
  const int64_t count = piece.numel();
  kernels_of(piece).nf4_quantize(
      piece, tensors_.codes.narrow(0, first / 2, ceil_div(count, 2)),
      absmax_.narrow(0, first / kernels::kNf4Block, ceil_div(count, kernels::kNf4Block)));
}

Nf4Tensors Nf4Quantizer::finish() {
  if (double_quant_ == DoubleQuant::kOn) {
    kernels_of(absmax_).nf4_quantize_absmax(absmax_, tensors_);
  }
  absmax_.reset();
  return std::move(tensors_);
}

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
  Nf4Quantizer quantizer(source.numel(), double_quant, source.device());
  quantizer.add(0, source);
  return quantizer.finish();
}

void FrozenWeight::write_to(at::Tensor& out) const {
  TORCH_INTERNAL_ASSERT(out.is_contiguous() && out.size(0) == out_features_ &&
                        out.size(1) == in_features_);
  if (quantized()) {
    kernels_of(out).nf4_dequantize(nf4_, out);
  } else if (!out.is_meta()) {
    out.copy_(dense_);
  }
}

}  // namespace rung::ops
