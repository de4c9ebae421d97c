#include "ops/kernel_set.h"

#include <c10/util/Exception.h>

#include <atomic>
#include <cstring>

#include "kernels/reduce.h"
#include "ops/typed_kernels.h"

namespace rung::ops {
namespace {

RUNG_KERNEL_CALLS(CpuCalls, kernels::cpu);

class CpuKernels final : public TypedKernels<CpuCalls> {
 public:
  void nf4_quantize_absmax(const at::Tensor& absmax, Nf4Tensors& tensors) const override {
    kernels::cpu::nf4_quantize_absmax(absmax.const_data_ptr<float>(), absmax.numel(),
                                      tensors.absmax_codes.mutable_data_ptr<uint8_t>(),
                                      tensors.nested_absmax.mutable_data_ptr<float>(),
                                      &tensors.nested_offset);
    std::memcpy(tensors.nested_map.mutable_data_ptr<float>(), kernels::cpu::nf4_nested_map(),
                tensors.nested_map.nbytes());
  }

  void sum(const at::Tensor& x, const at::Tensor& result) const override {
    *result.mutable_data_ptr<double>() = kernels::cpu::sum(x.const_data_ptr<float>(), x.numel());
  }

  void sum_of_squares(const at::Tensor& x, const at::Tensor& result) const override {
    *result.mutable_data_ptr<double>() =
        kernels::cpu::sum_of_squares(x.const_data_ptr<float>(), x.numel());
  }
};

// Shapes only: an operator has allocated its results, and nothing is computed.
class MetaKernels final : public KernelSet {
 public:
  void nf4_quantize(const at::Tensor&, const at::Tensor&, const at::Tensor&) const override {}
  void nf4_quantize_absmax(const at::Tensor&, Nf4Tensors&) const override {}
  void nf4_dequantize(const Nf4Tensors&, const at::Tensor&) const override {}
  void rms_norm_forward(const at::Tensor&, const at::Tensor&, double, const kernels::RmsNormShape&,
                        const at::Tensor&, const at::Tensor&) const override {}
  void rms_norm_add_forward(const at::Tensor&, const at::Tensor&, const at::Tensor&, double,
                            const kernels::RmsNormShape&, const at::Tensor&,
                            const at::Tensor&) const override {}
  void rms_norm_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                         const at::Tensor&, const kernels::RmsNormShape&,
                         const at::Tensor&) const override {}
  void rope(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
            const kernels::RopeShape&, kernels::RopeDirection) const override {}
  void swiglu_forward(const at::Tensor&, const at::Tensor&) const override {}
  void swiglu_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                       const at::Tensor&) const override {}
  void cross_entropy(const at::Tensor&, const at::Tensor&, std::optional<float>,
                     const at::Tensor&) const override {}
  void lora_dropout(const at::Tensor&, const DropoutDraw&, const at::Tensor&) const override {}
  void lora_dropout_accumulate(const at::Tensor&, const DropoutDraw&,
                               const at::Tensor&) const override {}
  void gather_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&) const override {}
  void scatter_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&) const override {}
  void adamw(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
             const kernels::AdamWParams&) const override {}
  void adamw_8bit(const at::Tensor&, const at::Tensor&, const Moment8bit&, const Moment8bit&,
                  const kernels::AdamWParams&) const override {}
  void sum(const at::Tensor&, const at::Tensor&) const override {}
  void sum_of_squares(const at::Tensor&, const at::Tensor&) const override {}
};

// One set a kind of device, as ATen has one allocator a kind of device.
struct Registry {
  CpuKernels cpu;
  MetaKernels meta;
  std::atomic<const KernelSet*> on_cpu = &cpu;
  std::atomic<const KernelSet*> on_cuda = nullptr;
};

Registry& registry() {
  static Registry registry;
  return registry;
}

}  // namespace

const KernelSet& kernels_of(c10::DeviceType device) {
  Registry& sets = registry();
  if (device == c10::kMeta) return sets.meta;
  const KernelSet* set = device == c10::kCUDA ? sets.on_cuda.load() : sets.on_cpu.load();
  TORCH_CHECK(set != nullptr, "the kernels for CUDA are not loaded");
  return *set;
}

const KernelSet& kernels_of(const at::Tensor& tensor) { return kernels_of(tensor.device().type()); }

const KernelSet* register_kernels(c10::DeviceType device, const KernelSet* set) {
  TORCH_INTERNAL_ASSERT(device == c10::kCPU || device == c10::kCUDA);
  Registry& sets = registry();
  return device == c10::kCUDA ? sets.on_cuda.exchange(set) : sets.on_cpu.exchange(set);
}

}  // namespace rung::ops
