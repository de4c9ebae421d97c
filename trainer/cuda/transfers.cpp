#include "cuda/transfers.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/util/Exception.h>

namespace rung::cuda {
namespace {

class EventMark final : public memory::WorkMark {
 public:
  explicit EventMark(const c10::cuda::CUDAStream& stream) { event_.record(stream); }
  void block(const c10::cuda::CUDAStream& stream) const { event_.block(stream); }

 private:
  mutable c10::cuda::CUDAEvent event_;
};

class CudaTransfers final : public memory::Transfers {
 public:
  c10::Device device() const override { return {c10::kCUDA, stream_.device_index()}; }

  // What the host cannot give is out of memory like what the device cannot.
  at::Tensor pinned(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    try {
      return at::empty(sizes, at::TensorOptions().dtype(dtype).pinned_memory(true));
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const c10::Error& error) {
      C10_THROW_ERROR(OutOfMemoryError,
                      c10::str("pinned host memory: ", error.what_without_backtrace()));
    }
  }
  at::Tensor pageable(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return at::empty(sizes, at::TensorOptions().dtype(dtype));
  }

  // Without record_stream: callers keep the tensors until the computing stream has waited, so the
  // caching allocator can hand their memory on at once and the peak does not depend on timing.
  memory::WorkMarkPtr copy_beside(const at::Tensor& to, const at::Tensor& from) override {
    EventMark(computing()).block(stream_);
    const c10::cuda::CUDAStreamGuard guard(stream_);
    at::Tensor target = to;
    target.copy_(from, /*non_blocking=*/true);
    return std::make_shared<EventMark>(stream_);
  }

  void wait_for(const memory::WorkMarkPtr& mark) override {
    if (mark) static_cast<const EventMark&>(*mark).block(computing());
  }

  memory::Counter& host_counter() override { return host_counter_; }
  memory::Counter& pinned_counter() override { return host_counter_; }

 private:
  c10::cuda::CUDAStream computing() const {
    return c10::cuda::getCurrentCUDAStream(stream_.device_index());
  }

  c10::cuda::CUDAStream stream_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/false);
  memory::Counter host_counter_;  // stays empty
};

}  // namespace

memory::Transfers& open_transfers() {
  static auto* transfers = new CudaTransfers;  // never destroyed: tensors may be freed during exit
  return *transfers;
}

}  // namespace rung::cuda
