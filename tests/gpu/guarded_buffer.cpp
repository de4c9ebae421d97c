// GuardedBytes in page-locked memory of the host, which a GPU reads and writes at the same address.
// No guard pages: what is written outside shows in intact() if it is near.
//
// Where RUNG_BARE_BUFFERS=1 there is nothing beside the data, and what touches it leaves the
// allocation: for compute-sanitizer, which would take the margins for the program's own.
#include "tests/support/emulation/guarded_buffer.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace rung::emulation {

namespace {

constexpr std::byte kSentinel{0xa5};

// Bytes of sentinel on either side.
size_t margin() {
  constexpr size_t kMargin = 256;
  static const bool is_bare = std::getenv("RUNG_BARE_BUFFERS") != nullptr;
  return is_bare ? 0 : kMargin;
}

bool holds_sentinel(std::span<std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == kSentinel; });
}

}  // namespace

GuardedBytes::GuardedBytes(size_t num_bytes) : num_bytes_(num_bytes) {
  mapped_bytes_ = std::max<size_t>(num_bytes + 2 * margin(), 1);
  void* memory = nullptr;
  if (cudaHostAlloc(&memory, mapped_bytes_, cudaHostAllocMapped) != cudaSuccess) {
    throw std::bad_alloc();
  }
  mapped_ = static_cast<std::byte*>(memory);
  std::memset(mapped_, static_cast<int>(kSentinel), mapped_bytes_);
  data_ = mapped_ + margin();
}

GuardedBytes::~GuardedBytes() { (void)cudaFreeHost(mapped_); }

bool GuardedBytes::intact() const { return holds_sentinel(before()) && holds_sentinel(behind()); }

std::span<std::byte> GuardedBytes::before() const { return {mapped_, margin()}; }

std::span<std::byte> GuardedBytes::behind() const { return {data_ + num_bytes_, margin()}; }

}  // namespace rung::emulation
