// Memory maps behind GuardedBuffer.
#include "tests/support/emulation/guarded_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <new>

namespace rung::emulation {

namespace {

constexpr std::byte kSentinel{0xa5};
constexpr size_t kAlignment = 16;

size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

bool holds_sentinel(std::span<std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == kSentinel; });
}

// Those that are alive: where each begins, and its bytes.
using Ranges = std::map<const std::byte*, size_t, std::greater<>>;
Ranges& ranges() {
  static Ranges all;
  return all;
}

}  // namespace

bool in_guarded_buffer(const void* address) {
  const auto* byte = static_cast<const std::byte*>(address);
  const auto found = ranges().lower_bound(byte);  // the last that begins at or before it
  return found != ranges().end() && byte < found->first + found->second;
}

GuardedBytes::GuardedBytes(size_t num_bytes) : num_bytes_(num_bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t usable = round_up(std::max<size_t>(num_bytes, 1), page);
  mapped_bytes_ = usable + 2 * page;
  void* memory = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, /*fd=*/-1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mapped_ = static_cast<std::byte*>(memory);
  ranges()[mapped_] = mapped_bytes_;
  mprotect(mapped_ + page, usable, PROT_READ | PROT_WRITE);
  std::memset(mapped_ + page, static_cast<int>(kSentinel), usable);
  data_ = mapped_ + page + usable - round_up(num_bytes, kAlignment);
}

GuardedBytes::~GuardedBytes() {
  ranges().erase(mapped_);
  munmap(mapped_, mapped_bytes_);
}

bool GuardedBytes::intact() const { return holds_sentinel(before()) && holds_sentinel(behind()); }

std::span<std::byte> GuardedBytes::before() const {
  std::byte* first = mapped_ + sysconf(_SC_PAGESIZE);
  return {first, static_cast<size_t>(data_ - first)};
}

std::span<std::byte> GuardedBytes::behind() const {
  return {data_ + num_bytes_, round_up(num_bytes_, kAlignment) - num_bytes_};
}

}  // namespace rung::emulation
