// The CPU as a device: its memory is the counting allocator's.
#include <unistd.h>

#include <algorithm>

#include "memory/counting_allocator.h"
#include "memory/device.h"
#include "memory/system_memory.h"

namespace rung::memory {
namespace {

class CpuDevice final : public Device {
 public:
  c10::Device torch_device() const override { return c10::kCPU; }
  std::string name() const override { return "CPU"; }
  std::string pci_bus_id() const override { return {}; }
  int64_t num_multiprocessors() const override { return 0; }
  int64_t architecture() const override { return 0; }

  int64_t total_memory() const override {
    return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  }
  int64_t free_memory() const override { return available_memory(); }
  int64_t reserved() const override {
    const Usage usage = cpu_counter().usage();
    return usage.live + usage.library + kept_block_bytes();
  }
  int64_t other() const override { return std::max<int64_t>(0, process_memory() - reserved()); }
  int64_t neighbours() const override {
    return std::max<int64_t>(0, total_memory() - machine_available_memory() - process_memory());
  }
  int64_t overhead() const override { return 0; }  // the limit is one of tensors
  Counter& counter() const override { return cpu_counter(); }
  void set_limit(int64_t bytes) override { cpu_counter().set_limit(bytes); }
  void release_cached() override { release_kept_blocks(); }

  void synchronize() override {}
};

}  // namespace

Device& cpu_device() {
  static auto* device = new CpuDevice;
  return *device;
}

}  // namespace rung::memory
