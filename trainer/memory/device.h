// What a run needs of its device beside tensors, kernels and copies (memory/transfers.h): memory
// figures and a limit.
//
// Two implementations: the CPU's, which tests use, and CUDA's, in the plugin. Tensors themselves
// come from ATen's allocator of the device, which counts into counter().
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "memory/counter.h"

namespace rung::memory {

class Device {
 public:
  virtual ~Device() = default;

  virtual c10::Device torch_device() const = 0;
  virtual std::string name() const = 0;             // "CPU", "NVIDIA H100 80GB HBM3 (sm_90)"
  virtual std::string pci_bus_id() const = 0;       // "0000:3B:00.0"; empty where it has none
  virtual int64_t num_multiprocessors() const = 0;  // of a GPU; else 0
  virtual int64_t architecture() const = 0;         // of a GPU, 90 for sm_90; else 0

  // Bytes.
  virtual int64_t total_memory() const = 0;
  virtual int64_t free_memory() const = 0;  // that this process could still take
  virtual int64_t reserved() const = 0;     // held for tensors, cached blocks included
  virtual int64_t other() const = 0;        // of this process beside `reserved`: context, libraries
  virtual int64_t neighbours() const = 0;   // in use by other processes
  virtual int64_t overhead() const = 0;     // of a limit that tensors cannot have
  virtual Counter& counter() const = 0;     // of tensors
  // Tensors past this throw c10::OutOfMemoryError. On CUDA it bounds the whole process: what is not
  // tensors (context, workspaces) is taken off first.
  virtual void set_limit(int64_t bytes) = 0;
  // Gives cached blocks back to the system.
  virtual void release_cached() = 0;

  // Returns once all queued work is done.
  virtual void synchronize() = 0;
};

// The CPU of this process; never destroyed.
Device& cpu_device();

}  // namespace rung::memory
