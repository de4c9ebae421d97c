// Memory between two inaccessible pages, its end against the second one as far as the alignment of
// 16 bytes allows. The bytes between data and guard pages hold a sentinel.
//
// Stands for device memory in the tests of kernels: an access past the end stops the kernel
// (device.h), a write before the start or into the last bytes of alignment shows in intact().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace rung::emulation {

// Whether a GuardedBuffer that is alive owns the address; its guard pages count as well.
bool in_guarded_buffer(const void* address);

// The bytes of any GuardedBuffer.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t num_bytes);
  ~GuardedBytes();
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  std::byte* data() const { return data_; }
  bool intact() const;

 private:
  std::span<std::byte> before() const;
  std::span<std::byte> behind() const;

  size_t num_bytes_;
  size_t mapped_bytes_ = 0;
  std::byte* mapped_ = nullptr;
  std::byte* data_ = nullptr;
};

template <typename T>
class GuardedBuffer {
 public:
  // Every byte is 0xff until a kernel writes it.
  explicit GuardedBuffer(size_t count) : count_(count), bytes_(count * sizeof(T)) {
    std::memset(bytes_.data(), 0xff, count * sizeof(T));
  }
  explicit GuardedBuffer(const std::vector<T>& values) : GuardedBuffer(values.size()) {
    std::memcpy(bytes_.data(), values.data(), count_ * sizeof(T));
  }

  T* data() { return reinterpret_cast<T*>(bytes_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(bytes_.data()); }
  size_t size() const { return count_; }
  std::vector<T> read() const { return {data(), data() + count_}; }

  // False once something outside the elements was written.
  bool intact() const { return bytes_.intact(); }

 private:
  size_t count_;
  GuardedBytes bytes_;
};

// A copy of `values` that starts behind a multiple of 16 bytes where `is_misaligned`.
template <typename T>
class ShiftedBuffer {
 public:
  ShiftedBuffer(const std::vector<T>& values, bool is_misaligned)
      : shift_(is_misaligned ? 1 : 0), buffer_(values.size() + shift_) {
    std::ranges::copy(values, data());
  }

  T* data() { return buffer_.data() + shift_; }
  std::vector<T> read() { return {data(), buffer_.data() + buffer_.size()}; }
  bool intact() const { return buffer_.intact(); }

 private:
  size_t shift_;
  GuardedBuffer<T> buffer_;
};

}  // namespace rung::emulation
