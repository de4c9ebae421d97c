// A libnvidia-ml.so.1 for tests: two GPUs whose figures are made up.
//
// GPU 0 (0000:3B:00.0) tells everything; process 4711 computes on it, and 999 computes and draws.
// GPU 1 (0000:AF:00.0) is one whose driver gives memory and name only, as with some virtual GPUs.
// Both are divided (MIG) where FAKE_NVML_MIG is 1. FAKE_NVML_INIT, a code of NVML's, lets the start
// fail; FAKE_NVML_PROCESSES adds so many processes. Declarations as in nvml.h.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr int kSuccess = 0;
constexpr int kInvalidArgument = 2;
constexpr int kNotSupported = 3;
constexpr int kNotFound = 6;
constexpr int kInsufficientSize = 7;
constexpr unsigned long long kGiB = 1ULL << 30;

struct Gpu {
  const char* name;
  const char* bus_id;
  bool tells_all;
};
Gpu gpus[] = {{"Fake RTX 4090", "00000000:3B:00.0", true},
              {"Fake vGPU", "00000000:AF:00.0", false}};

int number_of(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : std::atoi(text);
}

}  // namespace

extern "C" {

struct Memory {
  unsigned long long total, free, used;
};
struct MemoryV2 {
  unsigned int version;
  unsigned long long total, reserved, free, used;
};
struct Utilization {
  unsigned int gpu, memory;
};
struct PciInfo {
  char bus_id_legacy[16];
  unsigned int domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct ProcessInfo {
  unsigned int pid;
  unsigned long long used_memory;
  unsigned int gpu_instance, compute_instance;
};

int nvmlInit_v2() { return number_of("FAKE_NVML_INIT"); }
int nvmlShutdown() { return kSuccess; }
const char* nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Unknown Error"; }

int nvmlDeviceGetCount_v2(unsigned int* count) {
  *count = 2;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Gpu** gpu) {
  if (index >= 2) return kInvalidArgument;
  *gpu = &gpus[index];
  return kSuccess;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, Gpu** gpu) {
  // The real one takes domains of four and of eight digits, too.
  const std::string tail = bus_id + std::min<size_t>(std::strlen(bus_id), 4);
  for (Gpu& candidate : gpus) {
    if (tail.empty() || !std::string(candidate.bus_id).ends_with(tail)) continue;
    *gpu = &candidate;
    return kSuccess;
  }
  return kNotFound;
}
int nvmlDeviceGetName(Gpu* gpu, char* name, unsigned int length) {
  std::strncpy(name, gpu->name, length);
  return kSuccess;
}
int nvmlDeviceGetPciInfo_v3(Gpu* gpu, PciInfo* pci) {
  std::strncpy(pci->bus_id, gpu->bus_id, sizeof(pci->bus_id));
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(Gpu*, Memory* memory) {
  *memory = {.total = 24 * kGiB, .free = 14 * kGiB, .used = 10 * kGiB};
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo_v2(Gpu*, MemoryV2* memory) {
  if (memory->version != (sizeof(MemoryV2) | 2U << 24U)) return kInvalidArgument;
  memory->total = 24 * kGiB;
  memory->reserved = kGiB;
  memory->free = 14 * kGiB;
  memory->used = 9 * kGiB;
  return kSuccess;
}
int nvmlDeviceGetMigMode(Gpu*, unsigned int* current, unsigned int* pending) {
  *current = *pending = static_cast<unsigned int>(number_of("FAKE_NVML_MIG"));
  return kSuccess;
}
int nvmlDeviceGetUtilizationRates(Gpu* gpu, Utilization* utilization) {
  if (!gpu->tells_all) return kNotSupported;
  *utilization = {.gpu = 97, .memory = 41};
  return kSuccess;
}
int nvmlDeviceGetTemperature(Gpu* gpu, int sensor, unsigned int* celsius) {
  if (!gpu->tells_all) return kNotSupported;
  if (sensor != 0) return kInvalidArgument;
  *celsius = 71;
  return kSuccess;
}
int nvmlDeviceGetPowerUsage(Gpu* gpu, unsigned int* milliwatts) {
  if (!gpu->tells_all) return kNotSupported;
  *milliwatts = 310500;
  return kSuccess;
}
int nvmlDeviceGetEnforcedPowerLimit(Gpu* gpu, unsigned int* milliwatts) {
  if (!gpu->tells_all) return kNotSupported;
  *milliwatts = 450000;
  return kSuccess;
}
int nvmlDeviceGetClockInfo(Gpu* gpu, int clock, unsigned int* megahertz) {
  if (!gpu->tells_all) return kNotSupported;
  if (clock != 1 && clock != 2) return kInvalidArgument;
  *megahertz = clock == 1 ? 2520 : 10501;
  return kSuccess;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Gpu* gpu, unsigned int* count, ProcessInfo* infos) {
  if (!gpu->tells_all) return kNotSupported;
  const unsigned int more = static_cast<unsigned int>(number_of("FAKE_NVML_PROCESSES"));
  const unsigned int there = 2 + more;
  const bool fits = *count >= there;
  *count = there;
  if (!fits) return kInsufficientSize;
  infos[0] = {.pid = 4711, .used_memory = 7 * kGiB};
  infos[1] = {.pid = 999, .used_memory = kGiB};
  for (unsigned int i = 0; i < more; ++i) infos[2 + i] = {.pid = 10000 + i, .used_memory = ~0ULL};
  return kSuccess;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Gpu* gpu, unsigned int* count, ProcessInfo* infos) {
  if (!gpu->tells_all) return kNotSupported;
  *count = 1;
  infos[0] = {.pid = 999, .used_memory = kGiB + 1};
  return kSuccess;
}

}  // extern "C"
