// Host memory of a run, and copies between it and the device that run beside the computation.
//
// Three implementations: the CPU's, which does every copy at once; that of the meta device, which
// keeps nothing and copies nothing; and CUDA's, in the plugin, on a stream of its own.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "memory/counter.h"

namespace rung::memory {

// A point in the order of the device's work that can be waited for.
class WorkMark {
 public:
  virtual ~WorkMark() = default;
};
using WorkMarkPtr = std::shared_ptr<const WorkMark>;

class Transfers {
 public:
  virtual ~Transfers() = default;

  virtual c10::Device device() const = 0;

  // Host memory, not filled, and not under the device's limit. pinned: copies can be queued from
  // and to it; pageable: anything else.
  virtual at::Tensor pinned(at::IntArrayRef sizes, c10::ScalarType dtype) = 0;
  virtual at::Tensor pageable(at::IntArrayRef sizes, c10::ScalarType dtype) = 0;

  // Queues a copy between the device and pinned memory, to run beside the computation, after
  // everything that was queued so far. The caller keeps both tensors, and does not write to `from`,
  // until it has called wait_for with the result.
  virtual WorkMarkPtr copy_beside(const at::Tensor& to, const at::Tensor& from) = 0;
  // What is queued from now on runs after `mark` (null: no wait); the host does not wait.
  virtual void wait_for(const WorkMarkPtr& mark) = 0;

  // Of the host memory given by the CPU's and the meta device's (CUDA's is not counted).
  virtual Counter& host_counter() = 0;
  // Of what is pinned in it.
  virtual Counter& pinned_counter() = 0;
};

// What `bytes` of pinned memory take: ATen's allocator of it rounds up to a power of two (source:
// PowerOf2Ceil in aten/src/ATen/core/CachingHostAllocator.h).
int64_t pinned_size(int64_t bytes);

// Those of `device`; CUDA's once it is open. They live as long as the process.
Transfers& transfers_of(c10::Device device);

// Sets those of a kind of device, kCPU or kCUDA, and returns the ones before (null where there were
// none). Null: the CPU's own.
Transfers* register_transfers(c10::DeviceType device, Transfers* transfers);

}  // namespace rung::memory
