#include "kernels/fast_divide.h"

#include <gtest/gtest.h>

#include <vector>

namespace rung {
namespace {

constexpr uint32_t kMax = 0x7fffffffu;

// Small, around powers of two, largest.
std::vector<uint32_t> interesting_numbers() {
  std::vector<uint32_t> numbers;
  for (uint32_t n = 1; n < 200; ++n) numbers.push_back(n);
  for (int power = 8; power < 31; ++power) {
    for (const int offset : {-1, 0, 1, 5})
      numbers.push_back((1u << power) + static_cast<unsigned>(offset));
  }
  for (const uint32_t n : {1376u, 4097u, 1000003u, kMax / 3, kMax - 1, kMax}) numbers.push_back(n);
  return numbers;
}

// Quotients change at multiples of the divisor: those near `n` and those near the largest.
TEST(FastDivider, DividesOnBothSidesOfMultiples) {
  for (const uint32_t divisor : interesting_numbers()) {
    const kernels::FastDivider divider(divisor);
    EXPECT_EQ(divider.divide(0), 0u) << divisor;
    for (const uint32_t n : interesting_numbers()) {
      const uint32_t multiple = n / divisor * divisor;
      for (const uint32_t near : {n, multiple, multiple - (multiple > 0)}) {
        ASSERT_EQ(divider.divide(near), near / divisor) << near << " / " << divisor;
      }
    }
    const uint32_t last_multiple = kMax / divisor * divisor;
    ASSERT_EQ(divider.divide(last_multiple), kMax / divisor) << divisor;
    ASSERT_EQ(divider.divide(last_multiple - 1), (last_multiple - 1) / divisor) << divisor;
  }
}

}  // namespace
}  // namespace rung
