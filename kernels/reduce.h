// Sums over whole buffers, with the same bits whatever the number of threads.
#pragma once

#include <cstdint>

namespace rung::kernels::cpu {

// Sum of x[i]^2 over x [n], accumulated in double. Infinite or NaN where an x is.
double sum_of_squares(const float* x, int64_t n);

}  // namespace rung::kernels::cpu
