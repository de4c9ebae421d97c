// Arrays of floats that start on a cache line. Internal to kernels/*.cpp.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels/ceil_div.h"

namespace rung::kernels::cpu {

struct FreeFloats {
  void operator()(float* data) const { std::free(data); }
};
using Floats = std::unique_ptr<float[], FreeFloats>;

inline constexpr int64_t kFloatAlignment = 16;  // a cache line

inline constexpr int64_t padded_to_line(int64_t num_floats) {
  return ceil_div(num_floats, kFloatAlignment) * kFloatAlignment;
}

inline constexpr int64_t kHugePageFloats = int64_t{1} << 19;  // 2 MiB

// Not filled. From kHugePageFloats on whole huge pages, as far as the system has them: rows of
// tiles and panels then share few entries of the TLB. Throws std::bad_alloc.
inline Floats make_floats(int64_t count) {
  const bool huge = count >= kHugePageFloats;
  const int64_t unit = huge ? kHugePageFloats : kFloatAlignment;
  const auto alignment = static_cast<size_t>(unit) * sizeof(float);
  const size_t size = static_cast<size_t>(ceil_div(count, unit)) * alignment;
  Floats floats(static_cast<float*>(std::aligned_alloc(alignment, size)));
  if (floats == nullptr) throw std::bad_alloc();
  if (huge) madvise(floats.get(), size, MADV_HUGEPAGE);
  return floats;
}

// One thread's tiles, each on a cache line boundary.
class TileBuffer {
 public:
  explicit TileBuffer(int64_t num_floats) : data_(make_floats(num_floats)), next_(data_.get()) {}

  // The next `num_floats` of the buffer.
  float* take(int64_t num_floats) {
    float* taken = next_;
    next_ += padded_to_line(num_floats);
    return taken;
  }

 private:
  Floats data_;
  float* next_;
};

// Room that is kept from one use to the next, and grows where it must.
class ReusedFloats {
 public:
  // At least `count` floats, not filled, in the place of those returned before. Throws
  // std::bad_alloc.
  float* at_least(int64_t count) {
    if (count > size_) {
      data_.reset();  // the old ones go before the new ones come
      size_ = 0;
      data_ = make_floats(count);
      size_ = count;
    }
    return data_.get();
  }

 private:
  Floats data_;
  int64_t size_ = 0;
};

}  // namespace rung::kernels::cpu
