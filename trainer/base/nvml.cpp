#include "base/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>

namespace rung {
namespace {

// The parts of nvml.h that are used. The header comes with a toolkit, not with a driver, and its
// types are frozen: a changed one gets a new name (Info_v2) and its functions a new suffix.
struct NvmlMemory {  // nvmlMemory_t, bytes
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
struct NvmlMemoryV2 {  // nvmlMemory_v2_t
  unsigned int version;
  unsigned long long total;
  unsigned long long reserved;
  unsigned long long free;
  unsigned long long used;
};
struct NvmlUtilization {  // nvmlUtilization_t, percent
  unsigned int gpu;
  unsigned int memory;
};
struct NvmlPciInfo {  // nvmlPciInfo_t
  char bus_id_legacy[16];
  unsigned int domain;
  unsigned int bus;
  unsigned int device;
  unsigned int device_id;
  unsigned int subsystem_id;
  char bus_id[32];
};
struct NvmlProcessInfo {  // nvmlProcessInfo_v2_t, which the functions _v3 fill
  unsigned int pid;
  unsigned long long used_memory;  // bytes, or kNotAvailable
  unsigned int gpu_instance;
  unsigned int compute_instance;
};
static_assert(sizeof(NvmlPciInfo) == 68);
static_assert(sizeof(NvmlProcessInfo) == 24);
static_assert(sizeof(NvmlMemoryV2) == 40);

constexpr int kSuccess = 0;                          // NVML_SUCCESS
constexpr int kInsufficientSize = 7;                 // NVML_ERROR_INSUFFICIENT_SIZE
constexpr unsigned long long kNotAvailable = ~0ULL;  // NVML_VALUE_NOT_AVAILABLE
constexpr int kTemperatureOfGpu = 0;                 // NVML_TEMPERATURE_GPU
constexpr int kClockOfSm = 1;                        // NVML_CLOCK_SM
constexpr int kClockOfMemory = 2;                    // NVML_CLOCK_MEM
constexpr int kNoFunction = -1;                      // no code of NVML's
constexpr unsigned int kMigEnabled = 1;              // NVML_DEVICE_MIG_ENABLE
constexpr unsigned int kMemoryV2 = sizeof(NvmlMemoryV2) | 2U << 24U;  // nvmlMemory_v2

constexpr double kMilliwatts = 1e-3;

std::optional<double> watts(std::optional<int64_t> milliwatts) {
  if (!milliwatts) return std::nullopt;
  return static_cast<double>(*milliwatts) * kMilliwatts;
}

}  // namespace

void Nvml::CloseLibrary::operator()(void* library) const { dlclose(library); }

template <typename... Arguments>
int Nvml::call(const char* name, Arguments... arguments) const {
  const auto function = reinterpret_cast<int (*)(Arguments...)>(dlsym(library_.get(), name));
  return function == nullptr ? kNoFunction : function(arguments...);
}

template <typename... Arguments>
std::optional<int64_t> Nvml::number(const char* name, Arguments... arguments) const {
  unsigned int value = 0;
  if (call(name, arguments..., &value) != kSuccess) return std::nullopt;
  return value;
}

Nvml::Nvml(const std::string& library) : library_(dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (!library_) {
    why_not_ = "there is no NVML (" + library + " comes with the NVIDIA driver)";
    return;
  }
  const int status = call("nvmlInit_v2");
  is_started_ = status == kSuccess;
  if (is_started_) return;
  why_not_ = "NVML does not start";
  using ErrorString = const char* (*)(int);
  const auto error_string = reinterpret_cast<ErrorString>(dlsym(library_.get(), "nvmlErrorString"));
  if (status != kNoFunction && error_string != nullptr) {
    why_not_ += std::string(" (") + error_string(status) + ")";
  }
}

Nvml::~Nvml() {
  if (is_started_) call("nvmlShutdown");
}

int Nvml::num_gpus() const {
  if (!is_started_) return 0;
  return static_cast<int>(number("nvmlDeviceGetCount_v2").value_or(0));
}

std::optional<GpuFigures> Nvml::gpu(int index) const {
  Handle* device = nullptr;
  if (!is_started_ || call("nvmlDeviceGetHandleByIndex_v2", static_cast<unsigned int>(index),
                           &device) != kSuccess) {
    return std::nullopt;
  }
  return figures_of(device);
}

std::optional<GpuFigures> Nvml::gpu(const std::string& pci_bus_id) const {
  Handle* device = find(pci_bus_id);
  if (device == nullptr) return std::nullopt;
  return figures_of(device);
}

std::optional<int64_t> Nvml::memory_used(const std::string& pci_bus_id) const {
  Handle* device = find(pci_bus_id);
  if (device == nullptr) return std::nullopt;
  const std::optional<GpuMemory> memory = memory_of(device);
  if (!memory) return std::nullopt;
  return memory->used;
}

Nvml::Handle* Nvml::find(const std::string& pci_bus_id) const {
  Handle* device = nullptr;
  if (!is_started_ ||
      call("nvmlDeviceGetHandleByPciBusId_v2", pci_bus_id.c_str(), &device) != kSuccess) {
    return nullptr;
  }
  return device;
}

bool Nvml::is_divided(Handle* device) const {
  unsigned int current = 0;
  unsigned int pending = 0;
  return call("nvmlDeviceGetMigMode", device, &current, &pending) == kSuccess &&
         current == kMigEnabled;
}

std::optional<GpuMemory> Nvml::memory_of(Handle* device) const {
  if (is_divided(device)) return std::nullopt;
  NvmlMemoryV2 apart = {.version = kMemoryV2, .total = 0, .reserved = 0, .free = 0, .used = 0};
  if (call("nvmlDeviceGetMemoryInfo_v2", device, &apart) == kSuccess) {
    return GpuMemory{.total = static_cast<int64_t>(apart.total),
                     .used = static_cast<int64_t>(apart.used),
                     .free = static_cast<int64_t>(apart.free),
                     .reserved = static_cast<int64_t>(apart.reserved)};
  }
  NvmlMemory memory = {};
  if (call("nvmlDeviceGetMemoryInfo", device, &memory) != kSuccess) return std::nullopt;
  return GpuMemory{.total = static_cast<int64_t>(memory.total),
                   .used = static_cast<int64_t>(memory.used),
                   .free = static_cast<int64_t>(memory.free)};
}

GpuFigures Nvml::figures_of(Handle* device) const {
  GpuFigures figures;
  char name[96] = {};  // NVML_DEVICE_NAME_V2_BUFFER_SIZE
  if (call("nvmlDeviceGetName", device, &name[0], static_cast<unsigned int>(sizeof(name))) ==
      kSuccess) {
    figures.name = std::string(name, std::find(name, name + sizeof(name), '\0'));
  }
  NvmlPciInfo pci = {};
  if (call("nvmlDeviceGetPciInfo_v3", device, &pci) == kSuccess) {
    figures.pci_bus_id =
        std::string(pci.bus_id, std::find(pci.bus_id, pci.bus_id + sizeof(pci.bus_id), '\0'));
  }
  figures.is_divided = is_divided(device);
  figures.memory = memory_of(device);
  NvmlUtilization utilization = {};
  if (call("nvmlDeviceGetUtilizationRates", device, &utilization) == kSuccess) {
    figures.utilisation = utilization.gpu;
    figures.memory_utilisation = utilization.memory;
  }
  figures.temperature = number("nvmlDeviceGetTemperature", device, kTemperatureOfGpu);
  figures.power = watts(number("nvmlDeviceGetPowerUsage", device));
  figures.power_limit = watts(number("nvmlDeviceGetEnforcedPowerLimit", device));
  figures.sm_clock = number("nvmlDeviceGetClockInfo", device, kClockOfSm);
  figures.memory_clock = number("nvmlDeviceGetClockInfo", device, kClockOfMemory);
  figures.processes = processes_of(device);
  return figures;
}

std::optional<std::vector<GpuProcess>> Nvml::processes_of(Handle* device) const {
  constexpr unsigned int kMostProcesses = 1024;  // of a list; more than a GPU has contexts for
  std::map<int64_t, GpuProcess> by_pid;          // one that computes and draws is in both lists
  bool is_known = false;
  for (const char* name :
       {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v3"}) {
    std::vector<NvmlProcessInfo> infos(16);
    auto count = static_cast<unsigned int>(infos.size());
    int status = call(name, device, &count, infos.data());
    while (status == kInsufficientSize && infos.size() < kMostProcesses) {
      infos.resize(infos.size() * 4);
      count = static_cast<unsigned int>(infos.size());
      status = call(name, device, &count, infos.data());
    }
    if (status != kSuccess) continue;
    is_known = true;
    infos.resize(std::min<size_t>(count, infos.size()));
    for (const NvmlProcessInfo& info : infos) {
      GpuProcess& process = by_pid[info.pid];
      process.pid = info.pid;
      if (info.used_memory == kNotAvailable) continue;
      process.memory_used =
          std::max(process.memory_used.value_or(0), static_cast<int64_t>(info.used_memory));
    }
  }
  if (!is_known) return std::nullopt;
  std::vector<GpuProcess> processes;
  for (const auto& [pid, process] : by_pid) processes.push_back(process);
  return processes;
}

}  // namespace rung
