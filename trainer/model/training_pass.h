// One micro-batch through the blocks, forward and backward.
//
// The loop is rung's own: each block is its own small autograd graph, which is either kept from the
// forward pass or made again in the backward pass from the block's input. Nothing else spans two
// blocks, so everything that trades time for memory hangs on this loop: recomputation, inputs that
// wait on the host, weights that are streamed from there, tiles of long sequences.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/block.h"
#include "model/host_inputs.h"
#include "model/memory_settings.h"
#include "model/streamed_blocks.h"

namespace rung::model {

// What a pass works with; all of it outlives the pass.
struct PassParts {
  const std::vector<Block>& blocks;
  PassContext& context;
  HostInputs* host_inputs = nullptr;          // for Checkpoints::kOnHost
  StreamedBlocks* streamed_blocks = nullptr;  // null: every block is on the device
};

class TrainingPass {
 public:
  TrainingPass(const PassParts& parts, const MemorySettings& settings);
  ~TrainingPass();  // also where a pass was given up: nothing of it stays on the device
  TrainingPass(const TrainingPass&) = delete;
  TrainingPass& operator=(const TrainingPass&) = delete;

  // x [tokens, hidden] -> the output of the last block.
  at::Tensor forward(at::Tensor x);
  // The gradient of that output; adds to the gradients of the adapters. Once, after forward().
  void backward(at::Tensor gradient);

 private:
  // What the backward pass needs of a block: its input (unless that is on the host), and where the
  // graph was kept its output.
  struct Record {
    at::Tensor input;
    at::Tensor output;
  };

  bool is_recomputed(int64_t index) const { return index < settings_.num_recomputed; }
  bool is_on_host(int64_t index) const;
  void enter(int64_t index, Direction direction);
  at::Tensor forward_without_graph(int64_t index, const at::Tensor& x);
  Record record_block(int64_t index, const at::Tensor& x, ops::Output output);
  Record take_record(int64_t index);
  at::Tensor backward_through(int64_t index, const at::Tensor& gradient);
  at::Tensor backward_in_tiles(int64_t index, const at::Tensor& x, const at::Tensor& gradient);

  const Block& block(int64_t index) const { return parts_.blocks[static_cast<size_t>(index)]; }
  int64_t num_blocks() const { return static_cast<int64_t>(parts_.blocks.size()); }

  PassParts parts_;
  MemorySettings settings_;
  std::vector<Record> records_;
};

}  // namespace rung::model
