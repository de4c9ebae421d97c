// A KernelSet over typed launchers: unpacks tensors, picks the element types, calls.
//
// Calls is a struct of static functions with the names and arguments of kernels/x.h, made by
// RUNG_KERNEL_CALLS: the CPU's forward to kernels::cpu, the CUDA plugin's to kernels::cuda with the
// current stream. What the two devices do not do alike (attention, whole-buffer sums, the second
// level of NF4) is left to the derived class.
#pragma once

#include "kernels/adamw_8bit.h"
#include "kernels/cross_entropy.h"
#include "kernels/lora_dropout.h"
#include "kernels/nf4.h"
#include "kernels/rows.h"
#include "kernels/swiglu.h"
#include "ops/adamw.h"
#include "ops/dispatch.h"
#include "ops/frozen_weight.h"
#include "ops/kernel_set.h"

namespace rung::ops {

// Names of overloaded templates cannot be passed around; a function that forwards can.
#define RUNG_KERNEL_CALL(space, name, ...)           \
  template <typename... Args>                        \
  static void name(Args... args) {                   \
    space::name(args... __VA_OPT__(, ) __VA_ARGS__); \
  }

// RUNG_KERNEL_CALLS(CpuCalls, kernels::cpu) defines the struct; a third argument is passed to every
// kernel behind its own (the stream).
#define RUNG_KERNEL_CALLS(type, space, ...)                       \
  struct type {                                                   \
    RUNG_KERNEL_CALL(space, nf4_quantize, __VA_ARGS__)            \
    RUNG_KERNEL_CALL(space, nf4_dequantize, __VA_ARGS__)          \
    RUNG_KERNEL_CALL(space, rms_norm_forward, __VA_ARGS__)        \
    RUNG_KERNEL_CALL(space, rms_norm_add_forward, __VA_ARGS__)    \
    RUNG_KERNEL_CALL(space, rms_norm_backward, __VA_ARGS__)       \
    RUNG_KERNEL_CALL(space, rope_, __VA_ARGS__)                   \
    RUNG_KERNEL_CALL(space, swiglu_forward, __VA_ARGS__)          \
    RUNG_KERNEL_CALL(space, swiglu_backward, __VA_ARGS__)         \
    RUNG_KERNEL_CALL(space, cross_entropy, __VA_ARGS__)           \
    RUNG_KERNEL_CALL(space, lora_dropout, __VA_ARGS__)            \
    RUNG_KERNEL_CALL(space, lora_dropout_accumulate, __VA_ARGS__) \
    RUNG_KERNEL_CALL(space, rows_gather, __VA_ARGS__)             \
    RUNG_KERNEL_CALL(space, rows_scatter, __VA_ARGS__)            \
    RUNG_KERNEL_CALL(space, adamw, __VA_ARGS__)                   \
    RUNG_KERNEL_CALL(space, adamw_8bit, __VA_ARGS__)              \
  }

inline const uint64_t* row_keys_of(const at::Tensor& keys) {
  return reinterpret_cast<const uint64_t*>(keys.const_data_ptr<int64_t>());
}

inline float* floats_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
}

template <typename Calls>
class TypedKernels : public KernelSet {
 public:
  void nf4_quantize(const at::Tensor& x, const at::Tensor& codes,
                    const at::Tensor& absmax) const override {
    with_type(x.scalar_type(), [&]<typename T>() {
      Calls::nf4_quantize(data_of<const T>(x), x.numel(), codes.mutable_data_ptr<uint8_t>(),
                          absmax.mutable_data_ptr<float>());
    });
  }

  void nf4_dequantize(const Nf4Tensors& tensors, const at::Tensor& out) const override {
    with_type(out.scalar_type(), [&]<typename T>() {
      Calls::nf4_dequantize(view_of(tensors, out.numel()), data_of<T>(out));
    });
  }

  void rms_norm_forward(const at::Tensor& x, const at::Tensor& weight, double eps,
                        const kernels::RmsNormShape& shape, const at::Tensor& y,
                        const at::Tensor& rstd) const override {
    with_type(x.scalar_type(), [&]<typename T>() {
      Calls::rms_norm_forward(data_of<const T>(x), data_of<const T>(weight),
                              static_cast<float>(eps), shape, data_of<T>(y), floats_or_null(rstd));
    });
  }

  void rms_norm_add_forward(const at::Tensor& x, const at::Tensor& residual,
                            const at::Tensor& weight, double eps,
                            const kernels::RmsNormShape& shape, const at::Tensor& sum,
                            const at::Tensor& y) const override {
    with_type(x.scalar_type(), [&]<typename T>() {
      Calls::rms_norm_add_forward(data_of<const T>(x), data_of<const T>(residual),
                                  data_of<const T>(weight), static_cast<float>(eps), shape,
                                  data_of<T>(sum), data_of<T>(y), static_cast<float*>(nullptr));
    });
  }

  void rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                         const at::Tensor& rstd, const at::Tensor& dresidual,
                         const kernels::RmsNormShape& shape, const at::Tensor& dx) const override {
    with_type(x.scalar_type(), [&]<typename T>() {
      const T* passed = dresidual.defined() ? data_of<const T>(dresidual) : nullptr;
      Calls::rms_norm_backward(data_of<const T>(dy), data_of<const T>(x), data_of<const T>(weight),
                               rstd.const_data_ptr<float>(), passed, shape, data_of<T>(dx));
    });
  }

  void rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
            const at::Tensor& positions, const kernels::RopeShape& shape,
            kernels::RopeDirection direction) const override {
    with_type(x.scalar_type(), [&]<typename T>() {
      Calls::rope_(data_of<T>(x), cos.const_data_ptr<float>(), sin.const_data_ptr<float>(),
                   positions.const_data_ptr<int32_t>(), shape, direction);
    });
  }

  void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& y) const override {
    with_type(gate_up.scalar_type(), [&]<typename T>() {
      Calls::swiglu_forward(data_of<const T>(gate_up), swiglu_shape(gate_up, y), data_of<T>(y));
    });
  }

  void swiglu_backward(const at::Tensor& dy, const at::Tensor& gate_up, const at::Tensor& d_gate_up,
                       const at::Tensor& h) const override {
    TORCH_INTERNAL_ASSERT(dy.size(0) < 2 || (d_gate_up.stride(0) == gate_up.stride(0) &&
                                             h.stride(0) == dy.stride(0)));
    with_type(gate_up.scalar_type(), [&]<typename T>() {
      Calls::swiglu_backward(data_of<const T>(dy), data_of<const T>(gate_up),
                             swiglu_shape(gate_up, dy), data_of<T>(d_gate_up), data_of<T>(h));
    });
  }

  void cross_entropy(const at::Tensor& logits, const at::Tensor& targets,
                     std::optional<float> grad_scale, const at::Tensor& losses) const override {
    with_type(logits.scalar_type(), [&]<typename T>() {
      Calls::cross_entropy(data_of<T>(logits), targets.const_data_ptr<int32_t>(), logits.size(0),
                           logits.size(1), logits.stride(0), grad_scale,
                           losses.mutable_data_ptr<float>());
    });
  }

  void lora_dropout(const at::Tensor& x, const DropoutDraw& mask,
                    const at::Tensor& y) const override {
    with_type(x.scalar_type(), [&]<typename T>() {
      Calls::lora_dropout(data_of<const T>(x), row_keys_of(mask.row_keys), mask.module_key,
                          static_cast<float>(mask.probability), x.size(0), x.size(1), x.stride(0),
                          data_of<T>(y));
    });
  }

  void lora_dropout_accumulate(const at::Tensor& g, const DropoutDraw& mask,
                               const at::Tensor& dx) const override {
    with_type(g.scalar_type(), [&]<typename T>() {
      Calls::lora_dropout_accumulate(data_of<const T>(g), row_keys_of(mask.row_keys),
                                     mask.module_key, static_cast<float>(mask.probability),
                                     g.size(0), g.size(1), g.stride(0), data_of<T>(dx));
    });
  }

  void gather_rows(const at::Tensor& table, const at::Tensor& index,
                   const at::Tensor& out) const override {
    Calls::rows_gather(table.const_data_ptr(), row_bytes(table), index.const_data_ptr<int32_t>(),
                       index.numel(), out.mutable_data_ptr());
  }

  void scatter_rows(const at::Tensor& rows, const at::Tensor& index,
                    const at::Tensor& target) const override {
    Calls::rows_scatter(rows.const_data_ptr(), row_bytes(rows), index.const_data_ptr<int32_t>(),
                        index.numel(), target.mutable_data_ptr());
  }

  void adamw(const at::Tensor& parameters, const at::Tensor& gradients,
             const at::Tensor& first_moment, const at::Tensor& second_moment,
             const kernels::AdamWParams& params) const override {
    Calls::adamw(parameters.mutable_data_ptr<float>(), gradients.const_data_ptr<float>(),
                 first_moment.mutable_data_ptr<float>(), second_moment.mutable_data_ptr<float>(),
                 parameters.numel(), params);
  }

  void adamw_8bit(const at::Tensor& parameters, const at::Tensor& gradients,
                  const Moment8bit& first_moment, const Moment8bit& second_moment,
                  const kernels::AdamWParams& params) const override {
    Calls::adamw_8bit(parameters.mutable_data_ptr<float>(), gradients.const_data_ptr<float>(),
                      first_moment.codes.mutable_data_ptr<uint8_t>(),
                      first_moment.absmax.mutable_data_ptr<float>(),
                      second_moment.codes.mutable_data_ptr<uint8_t>(),
                      second_moment.absmax.mutable_data_ptr<float>(), parameters.numel(), params);
  }

 private:
  static kernels::SwigluShape swiglu_shape(const at::Tensor& gate_up, const at::Tensor& y) {
    return {.rows = y.size(0),
            .inter = y.size(1),
            .gate_up_stride = gate_up.stride(0),
            .y_stride = y.stride(0)};
  }
  static int64_t row_bytes(const at::Tensor& rows) {
    return rows.size(1) * static_cast<int64_t>(rows.element_size());
  }
};

}  // namespace rung::ops
