// The CUDA kernels on the emulated device as a KernelSet over CPU tensors: whole models can run the
// very text of the .cu files on a machine without a GPU.
#pragma once

#include "kernels/reduce.h"
#include "ops/typed_kernels.h"
#include "tests/support/emulation/device.h"

namespace rung::emulation {

// The device that launches of EmulatedKernels go to; set by the one that is alive.
inline Device*& launch_device() {
  static Device* device = nullptr;
  return device;
}

RUNG_KERNEL_CALLS(EmulatedCalls, kernels::cuda, kernels::Stream{launch_device()->handle()});

class EmulatedKernels final : public ops::TypedKernels<EmulatedCalls> {
 public:
  // Takes the CPU's place until it is destroyed. One at a time.
  explicit EmulatedKernels(Schedule schedule)
      : device_(schedule, Memory::kAny), before_(ops::register_kernels(c10::kCPU, this)) {
    launch_device() = &device_;
  }
  ~EmulatedKernels() override {
    ops::register_kernels(c10::kCPU, before_);
    launch_device() = nullptr;
  }
  EmulatedKernels(const EmulatedKernels&) = delete;
  EmulatedKernels& operator=(const EmulatedKernels&) = delete;

  int64_t num_launches() const { return device_.num_launches(); }

  void nf4_quantize_absmax(const at::Tensor& absmax, ops::Nf4Tensors& tensors) const override {
    std::memcpy(tensors.nested_map.mutable_data_ptr(), kernels::cpu::nf4_nested_map(),
                tensors.nested_map.nbytes());
    kernels::cuda::nf4_quantize_absmax(absmax.const_data_ptr<float>(), absmax.numel(),
                                       tensors.nested_map.const_data_ptr<float>(),
                                       tensors.absmax_codes.mutable_data_ptr<uint8_t>(),
                                       tensors.nested_absmax.mutable_data_ptr<float>(),
                                       &tensors.nested_offset, {launch_device()->handle()});
  }
  void sum(const at::Tensor& x, const at::Tensor& result) const override {
    std::vector<double> partials(kernels::kReducePartials);
    kernels::cuda::sum(x.const_data_ptr<float>(), x.numel(), partials.data(),
                       result.mutable_data_ptr<double>(), {launch_device()->handle()});
  }
  void sum_of_squares(const at::Tensor& x, const at::Tensor& result) const override {
    std::vector<double> partials(kernels::kReducePartials);
    kernels::cuda::sum_of_squares(x.const_data_ptr<float>(), x.numel(), partials.data(),
                                  result.mutable_data_ptr<double>(), {launch_device()->handle()});
  }

 private:
  mutable Device device_;
  const ops::KernelSet* before_;
};

}  // namespace rung::emulation
