#include "memory/transfers.h"

#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>

namespace rung::memory {
namespace {

// Memory apart from the counting allocator's: what a GPU run keeps on the host is not under the
// device's limit, and so it is not here.
at::Tensor map_uncounted(at::IntArrayRef sizes, c10::ScalarType dtype) {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (const int64_t size : sizes) bytes *= size;
  const auto length = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  void* block = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TORCH_CHECK_WITH(OutOfMemoryError, block != MAP_FAILED, "host memory: ", bytes,
                   " bytes asked for");
  return at::from_blob(
      block, sizes, [length](void* data) { munmap(data, length); }, dtype);
}

class CpuTransfers final : public Transfers {
 public:
  c10::Device device() const override { return c10::kCPU; }
  at::Tensor pinned(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return map_uncounted(sizes, dtype);
  }
  at::Tensor pageable(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return map_uncounted(sizes, dtype);
  }
  WorkMarkPtr copy_beside(const at::Tensor& to, const at::Tensor& from) override {
    at::Tensor target = to;
    target.copy_(from);
    return nullptr;
  }
  void wait_for(const WorkMarkPtr&) override {}
};

// Shapes of host memory, which nothing may read.
class MetaTransfers final : public Transfers {
 public:
  c10::Device device() const override { return c10::kMeta; }
  at::Tensor pinned(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return at::from_blob(nullptr, sizes, dtype);
  }
  at::Tensor pageable(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return at::from_blob(nullptr, sizes, dtype);
  }
  WorkMarkPtr copy_beside(const at::Tensor&, const at::Tensor&) override { return nullptr; }
  void wait_for(const WorkMarkPtr&) override {}
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
