#include "cuda/device.h"

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/neg.h>
#include <ATen/ops/zeros.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/nvml.h"
#include "cuda/device_checks.h"
#include "cuda/transfers.h"
#include "kernels/plugin.h"
#include "memory/counting_allocator.h"

namespace rung::cuda {
namespace {

namespace caching = c10::cuda::CUDACachingAllocator;

// Components of live blocks, told by the caching allocator of each allocation and release.
class BlockTracker {
 public:
  void add(size_t address, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    const Block block{bytes, memory::ComponentScope::current()};
    blocks_[address] = block;
    // The caching allocator holds the limit; this counter has none.
    (void)memory::cuda_counter().add(block.bytes, block.component);
  }
  void remove(size_t address) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(address);
    if (found == blocks_.end()) return;  // from before the tracker was attached
    memory::cuda_counter().remove(found->second.bytes, found->second.component);
    blocks_.erase(found);
  }

 private:
  struct Block {
    int64_t bytes;
    memory::Component component;
  };
  std::mutex mutex_;
  std::unordered_map<size_t, Block> blocks_;
};

void attach_tracker() {
  static auto* tracker = new BlockTracker;  // never destroyed: tensors may be freed during exit
  caching::attachAllocatorTraceTracker([](const caching::TraceEntry& entry) {
    if (entry.action_ == caching::TraceEntry::ALLOC) {
      tracker->add(entry.addr_, static_cast<int64_t>(entry.size_));
    } else if (entry.action_ == caching::TraceEntry::FREE_COMPLETED) {
      tracker->remove(entry.addr_);
    }
  });
}

// The most that a context and cuBLAS are taken to hold where nobody can tell them from neighbours.
constexpr int64_t kMostAssumed = int64_t{960} << 20;

// Kernels that are loaded as they are first used, cuDNN's above all (measured: 16 MiB,
// docs/benchmarks/gpu.md).
constexpr int64_t kLoadedLater = int64_t{32} << 20;

// LibTorch counts GPUs once, and where the driver is too old it warns, in words of its own, as soon
// as anything asks for CUDA: also of a run that goes on, on the CPU.
void count_gpus_quietly() {
  struct : c10::WarningHandler {
    void process(const c10::Warning&) override {}
  } silent;
  const c10::WarningUtils::WarningHandlerGuard guard(&silent);
  (void)c10::cuda::device_count();
}

std::string bus_id(int index) {
  char text[32] = {};
  C10_CUDA_CHECK(cudaDeviceGetPCIBusId(text, sizeof(text), index));
  return text;
}

class CudaDevice final : public memory::Device {
 public:
  explicit CudaDevice(int index) : device_(c10::kCUDA, static_cast<c10::DeviceIndex>(index)) {
    const std::string bus = bus_id(index);
    const Nvml nvml;
    const std::optional<int64_t> before = nvml.memory_used(bus);
    c10::cuda::set_device(device_.index());
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties_, index));
    check_architecture({.name = properties_.name, .number = static_cast<int>(architecture())},
                       kernel_architectures());
    // Segments that grow waste less where lengths vary (docs/decisions/caching-model.md); the plan
    // counts on them (fit/device_peak.h).
    c10::CachingAllocator::setAllocatorSettings("expandable_segments:True");
    at::globalContext().lazyInitDevice(c10::kCUDA);
    warm_up();
    attach_tracker();  // behind the workspaces, which are no tensors: overhead() has them
    memory::register_transfers(c10::kCUDA, &open_transfers());
    const std::optional<int64_t> after = nvml.memory_used(bus);
    workspaces_ = reserved();
    // Without NVML, or on a slice of a GPU (MIG), whose memory NVML does not tell, all that is in
    // use is taken for this process's, up to what such a process holds: a limit has to leave it
    // out.
    const MemoryInfo info = memory_info();
    other_ = before && after ? *after - *before - workspaces_
                             : std::min(info.total - info.free - workspaces_, kMostAssumed);
    other_ = std::max<int64_t>(0, other_);
  }

  c10::Device torch_device() const override { return device_; }
  std::string name() const override {
    return fmt::format("{} (sm_{})", properties_.name, architecture());
  }

  std::string pci_bus_id() const override { return bus_id(device_.index()); }
  int64_t num_multiprocessors() const override { return properties_.multiProcessorCount; }
  int64_t architecture() const override { return properties_.major * 10 + properties_.minor; }

  int64_t total_memory() const override { return memory_info().total; }
  int64_t free_memory() const override { return memory_info().free + reserved(); }
  int64_t reserved() const override {
    const auto stats = caching::getDeviceStats(device_.index());
    return stats.reserved_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
        .current;
  }
  int64_t other() const override { return other_; }
  int64_t neighbours() const override {
    const MemoryInfo info = memory_info();
    return std::max<int64_t>(0, info.total - info.free - reserved() - other_);
  }
  int64_t overhead() const override { return other_ + workspaces_ + kLoadedLater; }
  memory::Counter& counter() const override { return memory::cuda_counter(); }

  void set_limit(int64_t bytes) override {
    // LibTorch multiplies by this total and rounds down; half a byte more gives `bytes` exactly.
    const double share = (static_cast<double>(bytes - other_ - kLoadedLater) + 0.5) /
                         static_cast<double>(properties_.totalGlobalMem);
    TORCH_INTERNAL_ASSERT(share > 0.0);
    caching::setMemoryFraction(std::min(share, 1.0), device_.index());
  }
  void release_cached() override { caching::emptyCache(); }

  void synchronize() override { c10::cuda::device_synchronize(); }

 private:
  struct MemoryInfo {
    int64_t free;
    int64_t total;
  };
  MemoryInfo memory_info() const {
    size_t free = 0;
    size_t total = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
  }

  // Makes the context, and the cuBLAS handles and workspaces of both threads that multiply: this
  // one and autograd's. They stay, and so are taken off every limit. Autograd's thread comes to its
  // context with the kernel of neg(): ATen warns of a thread whose first call is one of cuBLAS.
  void warm_up() const {
    const auto options = at::TensorOptions(device_).dtype(c10::kBFloat16);
    const at::Tensor a = at::zeros({64, 64}, options).requires_grad_();
    torch::autograd::grad({at::neg(at::mm(a, a))}, {a}, {at::zeros({64, 64}, options)});
    C10_CUDA_CHECK(cudaDeviceSynchronize());
  }

  c10::Device device_;
  cudaDeviceProp properties_{};
  int64_t other_ = 0;       // bytes, as below
  int64_t workspaces_ = 0;  // held in the caching allocator from the start
};

}  // namespace

memory::Device& open_device(int index) {
  static CudaDevice* opened = nullptr;  // never destroyed: tensors may be freed during exit
  if (opened == nullptr) {
    count_gpus_quietly();
    check_driver();
    check_index(index);
    try {
      opened = new CudaDevice(index);
    } catch (const c10::Error& error) {
      throw unusable_gpu(error.what_without_backtrace());
    }
  }
  TORCH_CHECK(opened->torch_device().index() == index, "another GPU is open already");
  return *opened;
}

}  // namespace rung::cuda
