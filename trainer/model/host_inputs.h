// Inputs of recomputed blocks, in host memory from the forward to the backward pass of one
// micro-batch.
//
// Out: the copy of a block's input runs beside the block's forward pass, behind which its device
// memory is given back. In: a block's input is asked for while the block above is worked on. So one
// input more than the one that is used is on the device at any time, whatever the number of blocks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "memory/transfers.h"

namespace rung::model {

class HostInputs {
 public:
  HostInputs(memory::Transfers& transfers, int64_t num_blocks);

  // Queues the copy of x, the input of `block`, which is about to be queued itself.
  void send(int64_t block, const at::Tensor& x);
  // Once the forward pass of `block` is queued: its input's device memory may be used again.
  void release(int64_t block);

  // Queues the copy back, unless it is under way.
  void fetch(int64_t block);
  // The input of `block`, which may be used by what is queued from now on.
  at::Tensor take(int64_t block);
  // Lets go of everything on the device: the micro-batch is over, or was given up. Never throws: it
  // runs while an error of the device is on its way up, too.
  void clear() noexcept;

 private:
  struct Entry {
    at::Tensor host;    // pinned, at least as large as any input so far
    at::Tensor device;  // while a copy is under way
    std::vector<int64_t> sizes;
    memory::WorkMarkPtr mark;  // of the last copy
  };
  static at::Tensor host_view(const Entry& entry);

  memory::Transfers& transfers_;
  std::vector<Entry> entries_;
};

}  // namespace rung::model
