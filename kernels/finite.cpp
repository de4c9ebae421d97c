// Scaling with a check on the CPU: pieces split over threads, one vectorised loop each.
#include "kernels/finite.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

constexpr uint32_t kInfinity = 0x7f800000u;

// The largest magnitude, as bits, of the products: kInfinity or more where one is not finite.
RUNG_SIMD_CLONES uint32_t scale_piece(float* x, int64_t n, float factor) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    x[i] *= factor;
    largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  }
  return largest;
}

}  // namespace

void scale_and_check(float* x, int64_t n, float factor, int32_t* flag) {
  parallel_for(n, rows_per_piece(1), [&](int64_t begin, int64_t end) {
    if (scale_piece(x + begin, end - begin, factor) < kInfinity) return;
    std::atomic_ref(*flag).store(1, std::memory_order_relaxed);
  });
}

}  // namespace rung::kernels::cpu
