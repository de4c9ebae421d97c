#include "model/host_inputs.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "memory/counter.h"

namespace rung::model {

HostInputs::HostInputs(memory::Transfers& transfers, int64_t num_blocks)
    : transfers_(transfers), entries_(static_cast<size_t>(num_blocks)) {}

at::Tensor HostInputs::host_view(const Entry& entry) {
  int64_t count = 1;
  for (const int64_t size : entry.sizes) count *= size;
  return entry.host.narrow(0, 0, count).view(entry.sizes);
}

void HostInputs::send(int64_t block, const at::Tensor& x) {
  Entry& entry = entries_[static_cast<size_t>(block)];
  if (!entry.host.defined() || entry.host.numel() < x.numel() ||
      entry.host.scalar_type() != x.scalar_type()) {
    entry.host = transfers_.pinned({x.numel()}, x.scalar_type());
  }
  entry.sizes = x.sizes().vec();
  entry.device = x;
  entry.mark = transfers_.copy_beside(host_view(entry), x);
}

void HostInputs::release(int64_t block) {
  Entry& entry = entries_[static_cast<size_t>(block)];
  transfers_.wait_for(entry.mark);
  entry.device.reset();
}

void HostInputs::clear() noexcept {
  for (Entry& entry : entries_) {
    if (!entry.device.defined()) continue;
    try {
      transfers_.wait_for(entry.mark);
    } catch (...) {  // the device is lost: nothing on it is read again
    }
    entry.device.reset();
  }
}

void HostInputs::fetch(int64_t block) {
  Entry& entry = entries_[static_cast<size_t>(block)];
  if (entry.device.defined()) return;
  const memory::ComponentScope scope(memory::Component::kBlockInputs);
  entry.device = at::empty(entry.sizes,
                           at::TensorOptions(transfers_.device()).dtype(entry.host.scalar_type()));
  entry.mark = transfers_.copy_beside(entry.device, host_view(entry));
}

at::Tensor HostInputs::take(int64_t block) {
  fetch(block);
  Entry& entry = entries_[static_cast<size_t>(block)];
  transfers_.wait_for(entry.mark);
  return std::exchange(entry.device, at::Tensor());
}

}  // namespace rung::model
