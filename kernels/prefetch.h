// Fetching of rows ahead. Rows of a tensor lie on different pages, where the processor's own
// prefetching does not reach.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace rung::kernels::cpu {

// Loops over rows fetch the one so many rows ahead. Addresses behind the tensor's end do no harm.
inline constexpr int64_t kPrefetchRows = 8;

template <typename T>
RUNG_INLINE void prefetch_row(const T* x, int64_t n) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < n; i += kLine) __builtin_prefetch(x + i);
}

}  // namespace rung::kernels::cpu
