#include "cuda/nvml.h"

#include <dlfcn.h>

#include <memory>

namespace rung::cuda {
namespace {

// The parts of nvml.h that are used; the header itself comes with a toolkit, not with a driver.
using NvmlDevice = struct NvmlDeviceHandle*;
struct NvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
constexpr int kNvmlSuccess = 0;

struct CloseLibrary {
  void operator()(void* library) const { dlclose(library); }
};

class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    if (!library_) return;
    started_ = call<int (*)()>("nvmlInit_v2") == kNvmlSuccess;
  }
  ~Nvml() {
    if (started_) call<int (*)()>("nvmlShutdown");
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::optional<int64_t> memory_used(const std::string& pci_bus_id) const {
    if (!started_) return std::nullopt;
    NvmlDevice device = nullptr;
    if (call<int (*)(const char*, NvmlDevice*)>("nvmlDeviceGetHandleByPciBusId_v2",
                                                pci_bus_id.c_str(), &device) != kNvmlSuccess) {
      return std::nullopt;
    }
    NvmlMemory memory{};
    if (call<int (*)(NvmlDevice, NvmlMemory*)>("nvmlDeviceGetMemoryInfo", device, &memory) !=
        kNvmlSuccess) {
      return std::nullopt;
    }
    return static_cast<int64_t>(memory.used);
  }

 private:
  // The result of function `name`, or -1 where the library has none of that name.
  template <typename Function, typename... Args>
  int call(const char* name, Args... args) const {
    const auto function = reinterpret_cast<Function>(dlsym(library_.get(), name));
    return function == nullptr ? -1 : function(args...);
  }

  std::unique_ptr<void, CloseLibrary> library_;
  bool started_ = false;
};

}  // namespace

std::optional<int64_t> memory_used(const std::string& pci_bus_id) {
  return Nvml().memory_used(pci_bus_id);
}

}  // namespace rung::cuda
