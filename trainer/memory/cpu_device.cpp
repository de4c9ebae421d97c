// The CPU as a device: its memory is the counting allocator's, its copies are done when they
// return.
#include <ATen/ops/from_blob.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "memory/counting_allocator.h"
#include "memory/device.h"
#include "memory/system_memory.h"

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

class CpuDevice final : public Device {
 public:
  c10::Device torch_device() const override { return c10::kCPU; }
  std::string name() const override { return "CPU"; }

  int64_t total_memory() const override {
    return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  }
  int64_t free_memory() const override { return available_memory(); }
  int64_t reserved() const override {
    const Usage usage = cpu_counter().usage();
    return usage.live + usage.library;
  }
  int64_t other() const override {
    return std::max<int64_t>(0, process_peak() - cpu_counter().usage().peak);
  }
  int64_t overhead() const override { return 0; }  // the limit is one of tensors
  Counter& counter() const override { return cpu_counter(); }
  void set_limit(int64_t bytes) override { cpu_counter().set_limit(bytes); }
  void release_cached() override { release_kept_blocks(); }

  void synchronize() override {}

  at::Tensor pinned(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return map_uncounted(sizes, dtype);
  }
  WorkMarkPtr copy_beside(const at::Tensor& to, const at::Tensor& from) override {
    at::Tensor target = to;
    target.copy_(from);
    return nullptr;
  }
  void wait_for(const WorkMarkPtr&) override {}
};

}  // namespace

Device& cpu_device() {
  static auto* device = new CpuDevice;
  return *device;
}

}  // namespace rung::memory
