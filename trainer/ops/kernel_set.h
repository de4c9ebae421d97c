// The kernels of one kind of device, called with tensors.
//
// Operators allocate, check and record graphs, then call kernels_of(tensor).x(...), whatever the
// device: the CPU's kernels, CUDA's (out of the plugin), or those of the meta device, which
// do nothing, so that an operator run on shapes allocates what it would and computes nothing.
// Contracts, formulas and rounding points: kernels/x.h. Tensors are contiguous unless a shape says
// how they are strided, and those of a call have one dtype but where another is named; results are
// written in place. Attention is not here: each device has one of its own
// (ops/attention_kernels.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "kernels/adamw.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"

namespace rung::ops {

struct Moment8bit;
struct Nf4Tensors;

// What one call of adapter dropout draws its mask from (kernels/lora_dropout.h).
struct DropoutDraw {
  at::Tensor row_keys;  // [rows] int64, the bits of kernels::dropout_row_key
  uint64_t module_key = 0;
  double probability = 0.0;
};

class KernelSet {
 public:
  virtual ~KernelSet() = default;

  // x (any shape) -> codes uint8, absmax fp32; both may be parts of a larger tensor's.
  virtual void nf4_quantize(const at::Tensor& x, const at::Tensor& codes,
                            const at::Tensor& absmax) const = 0;
  // absmax -> the double-quantised fields of `tensors`, nested_map and nested_offset included.
  virtual void nf4_quantize_absmax(const at::Tensor& absmax, Nf4Tensors& tensors) const = 0;
  // tensors -> out, rounded to its dtype.
  virtual void nf4_dequantize(const Nf4Tensors& tensors, const at::Tensor& out) const = 0;

  virtual void rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps,
                                const kernels::RmsNormShape& shape, const at::Tensor& y,
                                const at::Tensor& rstd) const = 0;
  virtual void rms_norm_add_forward(const at::Tensor& x, const at::Tensor& residual,
                                    const at::Tensor& weight, double eps,
                                    const kernels::RmsNormShape& shape, const at::Tensor& sum,
                                    const at::Tensor& y) const = 0;
  // dresidual may be undefined.
  virtual void rms_norm_backward(const at::Tensor& dy, const at::Tensor& x,
                                 const at::Tensor& weight, const at::Tensor& rstd,
                                 const at::Tensor& dresidual, const kernels::RmsNormShape& shape,
                                 const at::Tensor& dx) const = 0;

  // x [tokens, features], its first heads rotated in place.
  virtual void rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                    const at::Tensor& positions, const kernels::RopeShape& shape,
                    kernels::RopeDirection direction) const = 0;

  // gate_up [rows, 2 * inter] -> y [rows, inter]. Rows may be strided, those of d_gate_up as those
  // of gate_up, and those of h as those of dy.
  virtual void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& y) const = 0;
  virtual void swiglu_backward(const at::Tensor& dy, const at::Tensor& gate_up,
                               const at::Tensor& d_gate_up, const at::Tensor& h) const = 0;

  // logits [rows, vocab] (rows may be strided), targets int32 [rows], negative: a row without a
  // loss. losses fp32 [rows].
  virtual void cross_entropy(const at::Tensor& logits, const at::Tensor& targets,
                             std::optional<float> grad_scale, const at::Tensor& losses) const = 0;

  // x and g [rows, cols] may be strided, y and dx [rows, cols] are dense.
  virtual void lora_dropout(const at::Tensor& x, const DropoutDraw& mask,
                            const at::Tensor& y) const = 0;
  virtual void lora_dropout_accumulate(const at::Tensor& g, const DropoutDraw& mask,
                                       const at::Tensor& dx) const = 0;

  // Rows of whole bytes, any dtype; index int32.
  virtual void gather_rows(const at::Tensor& table, const at::Tensor& index,
                           const at::Tensor& out) const = 0;
  virtual void scatter_rows(const at::Tensor& rows, const at::Tensor& index,
                            const at::Tensor& target) const = 0;

  // All fp32 [n].
  virtual void adamw(const at::Tensor& parameters, const at::Tensor& gradients,
                     const at::Tensor& first_moment, const at::Tensor& second_moment,
                     const kernels::AdamWParams& params) const = 0;
  virtual void adamw_8bit(const at::Tensor& parameters, const at::Tensor& gradients,
                          const Moment8bit& first_moment, const Moment8bit& second_moment,
                          const kernels::AdamWParams& params) const = 0;
  // x fp32 [n] -> result fp64 [1], accumulated in double in an order that does not depend on
  // threads.
  virtual void sum(const at::Tensor& x, const at::Tensor& result) const = 0;
  virtual void sum_of_squares(const at::Tensor& x, const at::Tensor& result) const = 0;
};

// The set for the device of `tensor`. Throws c10::Error where no plugin has registered CUDA's.
const KernelSet& kernels_of(const at::Tensor& tensor);
const KernelSet& kernels_of(c10::DeviceType device);

// Makes `set` the one for `device` and returns the one that was. open_device registers CUDA's;
// tests put an emulated device in place of the CPU.
const KernelSet* register_kernels(c10::DeviceType device, const KernelSet* set);

}  // namespace rung::ops
