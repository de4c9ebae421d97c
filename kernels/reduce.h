// Sums over whole buffers, accumulated in double, with the same bits at every call.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launchers queue work on
// `stream` and return; they allocate nothing. The two devices add up in different orders.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels {

namespace cpu {

// Sum of x[i]^2 over x [n]. Infinite or NaN where an x is. The same whatever the number of threads.
double sum_of_squares(const float* x, int64_t n);

// Sum of x [n], likewise.
double sum(const float* x, int64_t n);

}  // namespace cpu

// Workspace of the functions below, in doubles.
inline constexpr int64_t kReducePartials = 1024;

// partials [kReducePartials] is workspace, free again once the work is done. The order of additions
// is a function of n, whatever the GPU. Throw std::invalid_argument where x is not aligned to 16
// bytes.
namespace cuda {

// Sets *result to the sum of x[i]^2 over x [n].
void sum_of_squares(const float* x, int64_t n, double* partials, double* result, Stream stream);

// Sets *result to the sum of x [n].
void sum(const float* x, int64_t n, double* partials, double* result, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
