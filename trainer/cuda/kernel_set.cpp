#include "cuda/kernel_set.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAStream.h>

#include "kernels/reduce.h"
#include "memory/counter.h"
#include "ops/typed_kernels.h"

namespace rung::cuda {
namespace {

kernels::Stream current_stream() { return {c10::cuda::getCurrentCUDAStream().stream()}; }

RUNG_KERNEL_CALLS(CudaCalls, kernels::cuda, current_stream());

at::Tensor reduce_workspace(const at::Tensor& x) {
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  return at::empty({kernels::kReducePartials}, x.options().dtype(c10::kDouble));
}

class CudaKernels final : public ops::TypedKernels<CudaCalls> {
 public:
  // Waits for the device: the offset is kept on the host. Only while weights are loaded.
  void nf4_quantize_absmax(const at::Tensor& absmax, ops::Nf4Tensors& tensors) const override {
    const at::Tensor map = at::from_blob(const_cast<float*>(kernels::cpu::nf4_nested_map()),
                                         {tensors.nested_map.numel()}, c10::kFloat);
    tensors.nested_map.copy_(map);
    const at::Tensor offset = at::empty({1}, absmax.options());
    kernels::cuda::nf4_quantize_absmax(absmax.const_data_ptr<float>(), absmax.numel(),
                                       tensors.nested_map.const_data_ptr<float>(),
                                       tensors.absmax_codes.mutable_data_ptr<uint8_t>(),
                                       tensors.nested_absmax.mutable_data_ptr<float>(),
                                       offset.mutable_data_ptr<float>(), current_stream());
    tensors.nested_offset = offset.item<float>();
  }

  void sum(const at::Tensor& x, const at::Tensor& result) const override {
    kernels::cuda::sum(x.const_data_ptr<float>(), x.numel(),
                       reduce_workspace(x).mutable_data_ptr<double>(),
                       result.mutable_data_ptr<double>(), current_stream());
  }

  void sum_of_squares(const at::Tensor& x, const at::Tensor& result) const override {
    kernels::cuda::sum_of_squares(x.const_data_ptr<float>(), x.numel(),
                                  reduce_workspace(x).mutable_data_ptr<double>(),
                                  result.mutable_data_ptr<double>(), current_stream());
  }
};

}  // namespace

const ops::KernelSet& kernel_set() {
  static const CudaKernels kernels;
  return kernels;
}

}  // namespace rung::cuda
