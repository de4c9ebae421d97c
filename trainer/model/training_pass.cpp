#include "model/training_pass.h"

#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <utility>

#include "memory/counter.h"

namespace rung::model {
namespace {

using memory::Component;
using memory::ComponentScope;

// A leaf of a new graph with the value of x.
at::Tensor leaf(const at::Tensor& x) { return x.detach().requires_grad_(true); }

at::Tensor gradient_of(const std::vector<at::Tensor>& outputs, const at::Tensor& input,
                       const std::vector<at::Tensor>& gradients) {
  const ComponentScope scope(Component::kActivations);
  return torch::autograd::grad(outputs, {input}, gradients).front();
}

}  // namespace

TrainingPass::TrainingPass(const PassParts& parts, const MemorySettings& settings)
    : parts_(parts), settings_(settings), records_(parts.blocks.size()) {
  TORCH_INTERNAL_ASSERT(settings.checkpoints == Checkpoints::kOnDevice || parts.host_inputs);
}

TrainingPass::~TrainingPass() {
  if (parts_.host_inputs) parts_.host_inputs->clear();
}

bool TrainingPass::is_on_host(int64_t index) const {
  return is_recomputed(index) && settings_.checkpoints == Checkpoints::kOnHost;
}

void TrainingPass::enter(int64_t index, Direction direction) {
  if (parts_.streamed_blocks) parts_.streamed_blocks->enter(index, direction);
}

at::Tensor TrainingPass::forward(at::Tensor x) {
  for (int64_t i = 0; i < num_blocks(); ++i) {
    enter(i, Direction::kForward);
    Record& record = records_[static_cast<size_t>(i)];
    if (is_recomputed(i)) {
      if (is_on_host(i)) {
        parts_.host_inputs->send(i, x);
      } else {
        record.input = x;
      }
      x = forward_without_graph(i, x);
      if (is_on_host(i)) parts_.host_inputs->release(i);
    } else {
      record = record_block(i, x, ops::Output::kComputed);
      x = record.output.detach();
    }
  }
  return x;
}

void TrainingPass::backward(at::Tensor gradient) {
  for (int64_t i = num_blocks() - 1; i >= 0; --i) {
    enter(i, Direction::kBackward);
    gradient = backward_through(i, gradient);
  }
}

at::Tensor TrainingPass::forward_without_graph(int64_t index, const at::Tensor& x) {
  return block_forward(block(index), index, x, parts_.context, ops::Output::kComputed);
}

TrainingPass::Record TrainingPass::record_block(int64_t index, const at::Tensor& x,
                                                ops::Output output) {
  Record record{.input = leaf(x), .output = {}};
  const c10::AutoGradMode grad(true);
  record.output = block_forward(block(index), index, record.input, parts_.context, output);
  return record;
}

// The record of a block, and its input from the host; the one below is asked for meanwhile.
TrainingPass::Record TrainingPass::take_record(int64_t index) {
  Record record = std::move(records_[static_cast<size_t>(index)]);
  if (is_on_host(index)) record.input = parts_.host_inputs->take(index);
  if (index > 0 && is_on_host(index - 1)) parts_.host_inputs->fetch(index - 1);
  return record;
}

at::Tensor TrainingPass::backward_through(int64_t index, const at::Tensor& gradient) {
  ops::WeightCache weights;  // outlives the graph that `record` holds
  Record record = take_record(index);
  const bool in_tiles =
      is_recomputed(index) && settings_.mlp_tile > 0 && settings_.mlp_tile < gradient.size(0);
  if (is_recomputed(index) && settings_.dequantisation == Dequantisation::kOnceABlock) {
    parts_.context.weights = &weights;
  }
  if (is_recomputed(index) && !in_tiles) {
    record = record_block(index, record.input, ops::Output::kUnread);
  }
  at::Tensor result = in_tiles ? backward_in_tiles(index, record.input, gradient)
                               : gradient_of({record.output}, record.input, {gradient});
  parts_.context.weights = nullptr;
  return result;
}

// The attention half as one graph, the MLP half as one graph a tile.
at::Tensor TrainingPass::backward_in_tiles(int64_t index, const at::Tensor& x,
                                           const at::Tensor& gradient) {
  const at::Tensor input = leaf(x);
  Middle middle;
  {
    const c10::AutoGradMode grad(true);
    middle = attention_half(block(index), index, input, parts_.context);
  }
  const at::Tensor sum = sum_of(middle);
  at::Tensor d_middle;
  {
    const ComponentScope scope(Component::kActivations);
    d_middle = at::empty_like(gradient);
  }
  for (int64_t first = 0; first < sum.size(0); first += settings_.mlp_tile) {
    const RowRange rows{first, std::min(settings_.mlp_tile, sum.size(0) - first)};
    const at::Tensor tile = leaf(sum.narrow(0, rows.first, rows.count));
    at::Tensor output;
    {
      const c10::AutoGradMode grad(true);
      output = mlp_half(block(index), {.stream = tile, .update = {}}, rows, parts_.context,
                        ops::Output::kUnread);
    }
    const at::Tensor d_tile =
        gradient_of({output}, tile, {gradient.narrow(0, rows.first, rows.count)});
    if (!d_middle.is_meta()) d_middle.narrow(0, rows.first, rows.count).copy_(d_tile);
  }
  return gradient_of({middle.update, middle.stream}, input, {d_middle, d_middle});
}

}  // namespace rung::model
