// Division by a number that is known when a kernel is launched: a multiplication and a shift
// instead of the 20 instructions that a GPU takes to divide 32-bit integers, or the 100 for 64
// bits.
//
// q = (floor(n * m / 2^32) + n) / 2^l with l = ceil(log2(d)) and m = floor(2^32 * (2^l - d) / d) +
// 1 is exact, and its sum fits into 32 bits for n < 2^31. Source: Granlund and Montgomery, Division
// by Invariant Integers using Multiplication, PLDI 1994.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/host_device.h"

namespace rung::kernels {

class FastDivider {
 public:
  // 0 < divisor < 2^31
  explicit FastDivider(uint32_t divisor)
      : shift_(std::bit_width(divisor - 1)),
        multiplier_(
            static_cast<uint32_t>((((uint64_t{1} << shift_) - divisor) << 32) / divisor + 1)) {}

  // floor(n / divisor), n < 2^31
  RUNG_HOST_DEVICE uint32_t divide(uint32_t n) const {
    return (static_cast<uint32_t>(uint64_t{n} * multiplier_ >> 32) + n) >> shift_;
  }

 private:
  int shift_;
  uint32_t multiplier_;
};

}  // namespace rung::kernels
