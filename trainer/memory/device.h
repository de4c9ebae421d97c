// What a run needs of its device beside tensors and kernels: memory figures, a limit, pinned host
// memory, and copies that run beside the computation.
//
// Two implementations: the CPU's, which tests use and which does every copy at once, and CUDA's, in
// the plugin. Tensors themselves come from ATen's allocator of the device, which counts into
// counter().
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "memory/counter.h"

namespace rung::memory {

// A point in the order of the device's work that can be waited for.
class WorkMark {
 public:
  virtual ~WorkMark() = default;
};
using WorkMarkPtr = std::shared_ptr<const WorkMark>;

class Device {
 public:
  virtual ~Device() = default;

  virtual c10::Device torch_device() const = 0;
  virtual std::string name() const = 0;  // "CPU", "NVIDIA H100 80GB HBM3 (sm_90)"

  // Bytes.
  virtual int64_t total_memory() const = 0;
  virtual int64_t free_memory() const = 0;  // that this process could still take
  virtual int64_t reserved() const = 0;     // held for tensors, cached blocks included
  virtual int64_t other() const = 0;        // of this process beside `reserved`: context, libraries
  virtual int64_t overhead() const = 0;     // of a limit that tensors cannot have
  virtual Counter& counter() const = 0;     // of tensors
  // Tensors past this throw c10::OutOfMemoryError. On CUDA it bounds the whole process: what is not
  // tensors (context, workspaces) is taken off first.
  virtual void set_limit(int64_t bytes) = 0;
  // Gives cached blocks back to the system.
  virtual void release_cached() = 0;

  // Returns once all queued work is done.
  virtual void synchronize() = 0;

  // Host memory that copies can be queued from and to; not counted, not under the limit.
  virtual at::Tensor pinned(at::IntArrayRef sizes, c10::ScalarType dtype) = 0;
  // Queues a copy between device and pinned memory on the stream for copies, to run after
  // everything queued on the computing stream so far. `from` stays alive until it has run.
  virtual WorkMarkPtr copy_beside(const at::Tensor& to, const at::Tensor& from) = 0;
  // The computing stream goes on only after `mark`; the host does not wait.
  virtual void wait_for(const WorkMarkPtr& mark) = 0;
};

// The CPU of this process; never destroyed.
Device& cpu_device();

}  // namespace rung::memory
