#include "cuda/device.h"

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/nvml.h"
#include "cuda/transfers.h"
#include "kernels/plugin.h"
#include "memory/counting_allocator.h"

namespace rung::cuda {
namespace {

namespace caching = c10::cuda::CUDACachingAllocator;

[[noreturn]] void refuse(const std::string& what, const std::string& got, const std::string& hint) {
  throw Error(ExitCode::kConfig, {.what = what, .got = got, .hint = hint});
}

void check_driver() {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    refuse("there is no NVIDIA driver", "", "install one, or set device: cpu");
  }
  if (driver / 1000 >= CUDART_VERSION / 1000) return;
  refuse(
      "the NVIDIA driver is too old",
      fmt::format("one for CUDA {}.{}", driver / 1000, driver % 1000 / 10),
      fmt::format("install one for CUDA {} or newer, or set device: cpu", CUDART_VERSION / 1000));
}

void check_index(int index) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    refuse("there is no usable GPU", cudaGetErrorString(status),
           "see nvidia-smi and CUDA_VISIBLE_DEVICES, or set device: cpu");
  }
  if (index < count) return;
  refuse("there is no such GPU", fmt::format("cuda:{}", index),
         fmt::format("use one of cuda:0 .. cuda:{}", count - 1));
}

// Machine code runs on its own architecture and on later ones of the same generation; the PTX of
// the last one on everything from it on.
void check_architecture(const cudaDeviceProp& properties) {
  const int device = properties.major * 10 + properties.minor;
  const std::vector<int> carried = kernel_architectures();
  const bool runs = std::ranges::any_of(carried, [&](int architecture) {
    return architecture / 10 == properties.major && architecture <= device;
  });
  if (runs || device >= carried.back()) return;
  refuse("this build has no kernels for the GPU",
         fmt::format("{} (sm_{})", properties.name, device),
         fmt::format("it carries sm_{}", fmt::join(carried, ", sm_")));
}

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
    check_architecture(properties_);
    // Segments that grow waste less where lengths vary (docs/decisions/caching-model.md); the plan
    // counts on them (fit/device_peak.h).
    c10::CachingAllocator::setAllocatorSettings("expandable_segments:True");
    at::globalContext().lazyInitDevice(c10::kCUDA);
    attach_tracker();
    warm_up();
    memory::register_transfers(c10::kCUDA, &open_transfers());
    const std::optional<int64_t> after = nvml.memory_used(bus);
    workspaces_ = reserved();
    if (before && after) other_ = std::max<int64_t>(0, *after - *before - workspaces_);
  }

  c10::Device torch_device() const override { return device_; }
  std::string name() const override {
    return fmt::format("{} (sm_{}{})", properties_.name, properties_.major, properties_.minor);
  }

  int64_t total_memory() const override { return memory_info().total; }
  int64_t free_memory() const override { return memory_info().free + reserved(); }
  int64_t reserved() const override {
    const auto stats = caching::getDeviceStats(device_.index());
    return stats.reserved_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
        .current;
  }
  int64_t other() const override { return other_; }
  int64_t overhead() const override { return other_ + workspaces_; }
  memory::Counter& counter() const override { return memory::cuda_counter(); }

  void set_limit(int64_t bytes) override {
    const double share = static_cast<double>(bytes - other_) / static_cast<double>(total_memory());
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
  // one and autograd's. They stay, and so are taken off every limit.
  void warm_up() const {
    const auto options = at::TensorOptions(device_).dtype(c10::kBFloat16);
    const at::Tensor a = at::zeros({64, 64}, options).requires_grad_();
    torch::autograd::grad({at::mm(a, a)}, {a}, {at::zeros({64, 64}, options)});
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
    check_driver();
    check_index(index);
    try {
      opened = new CudaDevice(index);
    } catch (const c10::Error& error) {  // in exclusive use, or full
      refuse("the GPU cannot be used", error.what_without_backtrace(),
             "see nvidia-smi for who else uses it, or set device: cpu");
    }
  }
  TORCH_CHECK(opened->torch_device().index() == index, "another GPU is open already");
  return *opened;
}

}  // namespace rung::cuda
