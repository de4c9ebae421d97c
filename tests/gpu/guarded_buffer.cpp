// GuardedBytes in memory that the GPU and the host see. No guard pages: what is written outside
// shows in intact() if it is near, and to compute-sanitizer.
#include "tests/support/emulation/guarded_buffer.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace rung::emulation {

namespace {

constexpr std::byte kSentinel{0xa5};
constexpr size_t kMargin = 256;  // bytes of sentinel on either side

bool holds_sentinel(std::span<std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == kSentinel; });
}

}  // namespace

GuardedBytes::GuardedBytes(size_t num_bytes) : num_bytes_(num_bytes) {
  mapped_bytes_ = num_bytes + 2 * kMargin;
  void* memory = nullptr;
  if (cudaMallocManaged(&memory, mapped_bytes_) != cudaSuccess) throw std::bad_alloc();
  mapped_ = static_cast<std::byte*>(memory);
  std::memset(mapped_, static_cast<int>(kSentinel), mapped_bytes_);
  data_ = mapped_ + kMargin;
}

GuardedBytes::~GuardedBytes() { (void)cudaFree(mapped_); }

bool GuardedBytes::intact() const { return holds_sentinel(before()) && holds_sentinel(behind()); }

std::span<std::byte> GuardedBytes::before() const { return {mapped_, kMargin}; }

std::span<std::byte> GuardedBytes::behind() const { return {data_ + num_bytes_, kMargin}; }

}  // namespace rung::emulation
