#include "memory/transfers.h"

#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>

namespace rung::memory {
namespace {

int64_t bytes_of(at::IntArrayRef sizes, c10::ScalarType dtype) {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (const int64_t size : sizes) bytes *= size;
  return bytes;
}

// Counts host memory, which no limit bounds.
class CountedTransfers : public Transfers {
 public:
  at::Tensor pinned(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return take(sizes, dtype, pinned_size(bytes_of(sizes, dtype)), /*is_pinned=*/true);
  }
  at::Tensor pageable(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return take(sizes, dtype, bytes_of(sizes, dtype), /*is_pinned=*/false);
  }
  void wait_for(const WorkMarkPtr&) override {}
  Counter& host_counter() override { return counter_; }
  Counter& pinned_counter() override { return pinned_; }

 private:
  at::Tensor take(at::IntArrayRef sizes, c10::ScalarType dtype, int64_t counted, bool is_pinned) {
    const Component component = ComponentScope::current();
    void* block = map(bytes_of(sizes, dtype));
    const int64_t pinned = is_pinned ? counted : 0;
    (void)counter_.add(counted, component);
    (void)pinned_.add(pinned, component);
    const auto free = [this, counted, pinned, component,
                       length = bytes_of(sizes, dtype)](void* data) {
      counter_.remove(counted, component);
      pinned_.remove(pinned, component);
      unmap(data, length);
    };
    return at::from_blob(block, sizes, free, dtype);
  }
  virtual void* map(int64_t bytes) = 0;
  virtual void unmap(void* block, int64_t bytes) = 0;

  Counter counter_;
  Counter pinned_;
};

// Memory apart from the counting allocator's: what a GPU run keeps on the host is not under the
// device's limit, and so it is not here.
class CpuTransfers final : public CountedTransfers {
 public:
  c10::Device device() const override { return c10::kCPU; }
  WorkMarkPtr copy_beside(const at::Tensor& to, const at::Tensor& from) override {
    at::Tensor target = to;
    target.copy_(from);
    return nullptr;
  }

 private:
  static size_t length_of(int64_t bytes) {
    return static_cast<size_t>(std::max<int64_t>(bytes, 1));
  }
  void* map(int64_t bytes) override {
    void* block =
        mmap(nullptr, length_of(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TORCH_CHECK_WITH(OutOfMemoryError, block != MAP_FAILED, "host memory: ", bytes,
                     " bytes asked for");
    return block;
  }
  void unmap(void* block, int64_t bytes) override { munmap(block, length_of(bytes)); }
};

// Shapes of host memory, which nothing may read.
class MetaTransfers final : public CountedTransfers {
 public:
  c10::Device device() const override { return c10::kMeta; }
  WorkMarkPtr copy_beside(const at::Tensor&, const at::Tensor&) override { return nullptr; }

 private:
  void* map(int64_t) override { return nullptr; }
  void unmap(void*, int64_t) override {}
};

struct Registry {
  CpuTransfers cpu;
  MetaTransfers meta;
  std::atomic<Transfers*> on_cpu = &cpu;
  std::atomic<Transfers*> on_cuda = nullptr;
};

Registry& registry() {
  static auto* registry = new Registry;  // never destroyed: tensors may be freed during exit
  return *registry;
}

}  // namespace

int64_t pinned_size(int64_t bytes) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(bytes)));
}

Transfers& transfers_of(c10::Device device) {
  Registry& all = registry();
  if (device.is_meta()) return all.meta;
  if (device.is_cpu()) return *all.on_cpu.load();
  Transfers* cuda = all.on_cuda;
  TORCH_CHECK(cuda != nullptr && cuda->device() == device, "the GPU is not open");
  return *cuda;
}

Transfers* register_transfers(c10::DeviceType device, Transfers* transfers) {
  TORCH_INTERNAL_ASSERT(device == c10::kCPU || device == c10::kCUDA);
  Registry& all = registry();
  if (device == c10::kCUDA) return all.on_cuda.exchange(transfers);
  return all.on_cpu.exchange(transfers == nullptr ? &all.cpu : transfers);
}

}  // namespace rung::memory
