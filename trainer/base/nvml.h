// NVML: what the NVIDIA driver knows about its GPUs, whoever uses them.
//
// The library (libnvidia-ml.so.1) comes with the driver and is opened at run time; no header of a
// toolkit and no CUDA context is needed. A figure that the driver or the GPU does not give is
// absent. Source: NVIDIA, NVML API reference guide.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rung {

struct GpuMemory {
  int64_t total = 0;  // bytes
  int64_t used = 0;   // by all processes
  int64_t free = 0;
  int64_t reserved = 0;  // by the driver and the GPU itself; old drivers count that as used
};

struct GpuProcess {
  int64_t pid = 0;  // as the driver's host counts: in a container another one than its own
  std::optional<int64_t> memory_used;  // bytes
};

struct GpuFigures {
  std::string name;
  std::string pci_bus_id;   // "00000000:3B:00.0"
  bool is_divided = false;  // into instances (MIG), whose memory NVML does not tell by the bus id
  std::optional<GpuMemory> memory;
  std::optional<int64_t> utilisation;         // percent of the last moments with a kernel at work
  std::optional<int64_t> memory_utilisation;  // likewise with a read or write of memory
  std::optional<int64_t> temperature;         // degrees Celsius
  std::optional<double> power;                // watts
  std::optional<double> power_limit;          // watts, the one in force
  std::optional<int64_t> sm_clock;            // MHz
  std::optional<int64_t> memory_clock;        // MHz
  std::optional<std::vector<GpuProcess>> processes;  // computing or drawing, each once
};

class Nvml {
 public:
  // Opens `library`, a name for the loader or a path; tests give one of their own. Where that
  // cannot be had, the object is valid and knows of no GPU.
  explicit Nvml(const std::string& library = "libnvidia-ml.so.1");
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  // "" where NVML works, else one line that says why it does not.
  const std::string& why_not() const { return why_not_; }

  int num_gpus() const;
  // Nothing where there is no such GPU. The form of the bus id may be CUDA's ("0000:3B:00.0").
  std::optional<GpuFigures> gpu(int index) const;
  std::optional<GpuFigures> gpu(const std::string& pci_bus_id) const;
  // The one figure of gpu(pci_bus_id).memory that CUDA does not tell before it has taken memory.
  std::optional<int64_t> memory_used(const std::string& pci_bus_id) const;

 private:
  struct CloseLibrary {
    void operator()(void* library) const;
  };
  struct Handle;  // nvmlDevice_t points to one

  // What function `name` returns, or kNoFunction where the library has none of that name. The types
  // of `arguments` have to be those of its declaration.
  template <typename... Arguments>
  int call(const char* name, Arguments... arguments) const;
  // The last argument of function `name`, a number that it sets.
  template <typename... Arguments>
  std::optional<int64_t> number(const char* name, Arguments... arguments) const;
  Handle* find(const std::string& pci_bus_id) const;
  bool is_divided(Handle* device) const;
  std::optional<GpuMemory> memory_of(Handle* device) const;
  GpuFigures figures_of(Handle* device) const;
  std::optional<std::vector<GpuProcess>> processes_of(Handle* device) const;

  std::unique_ptr<void, CloseLibrary> library_;
  bool is_started_ = false;
  std::string why_not_;
};

}  // namespace rung
