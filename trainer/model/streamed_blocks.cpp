#include "model/streamed_blocks.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>

#include "memory/counter.h"

namespace rung::model {
namespace {

constexpr int64_t kAlignment = 256;  // bytes: what kernels and copies like best

// Every tensor of a block's quantised weights.
std::vector<at::Tensor*> tensors_of(std::vector<ops::Nf4Tensors>& weights) {
  std::vector<at::Tensor*> tensors;
  for (ops::Nf4Tensors& weight : weights) {
    for (at::Tensor* tensor : {&weight.codes, &weight.absmax, &weight.absmax_codes,
                               &weight.nested_absmax, &weight.nested_map}) {
      if (tensor->defined()) tensors.push_back(tensor);
    }
  }
  return tensors;
}

std::vector<ops::Linear*> quantized_linears(Block& block) {
  std::vector<ops::Linear*> linears;
  for (ops::LinearGroup* group : block.groups()) {
    for (ops::Linear& member : group->members) {
      if (member.weight.quantized()) linears.push_back(&member);
    }
  }
  return linears;
}

// Places in a flat buffer, one behind the other.
struct Layout {
  std::vector<int64_t> offsets;  // bytes
  int64_t bytes = 0;
};

Layout layout_of(const std::vector<at::Tensor*>& tensors) {
  Layout layout;
  for (const at::Tensor* tensor : tensors) {
    layout.offsets.push_back(layout.bytes);
    const auto bytes = static_cast<int64_t>(tensor->nbytes());
    layout.bytes += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  return layout;
}

at::Tensor view_in(const at::Tensor& buffer, int64_t offset, const at::Tensor& like) {
  return buffer.narrow(0, offset, static_cast<int64_t>(like.nbytes()))
      .view(like.scalar_type())
      .view(like.sizes());
}

}  // namespace

std::vector<int64_t> spread_blocks(int64_t count, int64_t num_blocks) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) indices.push_back((2 * i + 1) * num_blocks / (2 * count));
  return indices;
}

StreamedBlocks::StreamedBlocks(memory::Transfers& transfers, std::vector<int64_t> indices)
    : transfers_(transfers), indices_(std::move(indices)) {}

void StreamedBlocks::adopt(int64_t index, Block& block) {
  if (!std::ranges::binary_search(indices_, index)) return;
  const size_t position = host_.size();
  TORCH_INTERNAL_ASSERT(indices_[position] == index);
  std::vector<ops::Linear*> linears = quantized_linears(block);
  std::vector<ops::Nf4Tensors> weights;
  for (const ops::Linear* linear : linears) weights.push_back(linear->weight.nf4());
  const std::vector<at::Tensor*> tensors = tensors_of(weights);
  const Layout layout = layout_of(tensors);
  at::Tensor& slot = slots_[position % kSlots];
  if (!slot.defined()) {
    const memory::ComponentScope scope(memory::Component::kBaseWeights);
    slot = at::empty({layout.bytes}, at::TensorOptions(transfers_.device()).dtype(c10::kByte));
  }
  TORCH_CHECK(slot.numel() == layout.bytes, "blocks to be streamed differ in their weights");
  const at::Tensor host = transfers_.pinned({layout.bytes}, c10::kByte);
  for (size_t i = 0; i < tensors.size(); ++i) {
    at::Tensor& tensor = *tensors[i];
    if (!tensor.is_meta()) view_in(host, layout.offsets[i], tensor).copy_(tensor);
    tensor = view_in(slot, layout.offsets[i], tensor);
  }
  for (size_t i = 0; i < linears.size(); ++i) {
    ops::FrozenWeight& weight = linears[i]->weight;
    weight = ops::FrozenWeight::from_nf4(std::move(weights[i]), weight.out_features(),
                                         weight.in_features());
  }
  host_.push_back(host);
}

void StreamedBlocks::enter(int64_t index, Direction direction) {
  const auto found = std::ranges::lower_bound(indices_, index);
  const auto position = found - indices_.begin();
  const bool streamed = found != indices_.end() && *found == index;
  if (streamed) {
    load(position);
    transfers_.wait_for(marks_[static_cast<size_t>(position % kSlots)]);
  }
  const int64_t next = direction == Direction::kBackward ? position - 1
                       : streamed                        ? position + 1
                                                         : position;
  if (next >= 0 && next < std::ssize(indices_)) load(next);
}

// The slot's last block is queued entirely: walked either way, the blocks of one slot have one of
// the other slot between them.
void StreamedBlocks::load(int64_t position) {
  const auto slot = static_cast<size_t>(position % kSlots);
  if (held_[slot] == position) return;
  marks_[slot] = transfers_.copy_beside(slots_[slot], host_[static_cast<size_t>(position)]);
  held_[slot] = position;
}

}  // namespace rung::model
