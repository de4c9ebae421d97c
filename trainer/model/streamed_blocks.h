// Quantised weights of some blocks in host memory, copied into one of two slots on the device when
// they are needed, the next block's while this one computes.
//
// Blocks have the same shapes, so the tensors of a streamed block are views of its slot, made once:
// block j of the streamed ones lies in slot j % 2, whichever way the blocks are walked. Weights are
// frozen: nothing is copied back.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "memory/transfers.h"
#include "model/block.h"

namespace rung::model {

enum class Direction { kForward, kBackward };

// `count` of `num_blocks` blocks, as evenly spread as they can be: the time of the blocks in
// between hides their copies. Ascending.
std::vector<int64_t> spread_blocks(int64_t count, int64_t num_blocks);

class StreamedBlocks {
 public:
  // indices: of the blocks to be streamed, ascending.
  StreamedBlocks(memory::Transfers& transfers, std::vector<int64_t> indices);

  // Moves the quantised weights of `block` to the host, if it is one of the streamed. Blocks come
  // in order. Dense weights stay on the device.
  void adopt(int64_t index, Block& block);

  // Before block `index` is queued: what is queued from now on finds its weights in place, and the
  // next block's are on their way. Called for every block, streamed or not.
  void enter(int64_t index, Direction direction);

 private:
  static constexpr int64_t kSlots = 2;

  void load(int64_t position);

  memory::Transfers& transfers_;
  std::vector<int64_t> indices_;
  std::vector<at::Tensor> host_;                 // uint8 [bytes of a block], one a streamed block
  std::array<at::Tensor, kSlots> slots_;         // uint8 [bytes of a block] on the device
  std::array<int64_t, kSlots> held_ = {-1, -1};  // position of the block in each slot
  std::array<memory::WorkMarkPtr, kSlots> marks_;
};

}  // namespace rung::model
