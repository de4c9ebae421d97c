// Sums on CUDA; the contract is reduce.h. Two launches: blocks walk over tiles of the buffer and
// leave one partial sum each, then one block adds those up. No atomics, so that the order is fixed.
//
// Every element is widened to double and costs one operation in it: a fraction of what an H100 or
// an RTX 4090 can do while it reads, but on GeForce cards before that double is the bound.
#include <algorithm>

#include "kernels/launch.h"
#include "kernels/reduce.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 256;
constexpr int kSteps = 4;  // vectors of a thread whose loads are issued together
constexpr int64_t kTile = int64_t{kThreads} * kSteps * 4;
constexpr unsigned kAllLanes = 0xffffffffu;

enum class Term { kValue, kSquare };

template <Term term>
__device__ inline void add(float x, double& sum) {
  const double value = x;
  if constexpr (term == Term::kValue) {
    sum += value;
  } else {
    sum += value * value;  // the product is exact, fused or not
  }
}

template <Term term>
__device__ inline void add(const float4& x, double (&sums)[4]) {
  add<term>(x.x, sums[0]);
  add<term>(x.y, sums[1]);
  add<term>(x.z, sums[2]);
  add<term>(x.w, sums[3]);
}

// Of all threads of the block, in the first one. One barrier.
__device__ inline double sum_threads(double sum) {
  __shared__ double warps[kThreads / kWarp];
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  }
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = sum;
  __syncthreads();
  double total = 0.0;
  if (threadIdx.x == 0) {
    for (const double warp : warps) total += warp;
  }
  return total;
}

// x [n] -> partials [gridDim.x]
template <Term term>
__global__ void __launch_bounds__(kThreads)
    reduce_tiles_kernel(const float* __restrict__ x, int64_t n, double* __restrict__ partials) {
  double sums[4] = {};
  for (int64_t tile = blockIdx.x * kTile; tile < n; tile += gridDim.x * kTile) {
    const int64_t first = tile + threadIdx.x * 4;
    if (tile + kTile <= n) {
      float4 values[kSteps];
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        values[step] = *reinterpret_cast<const float4*>(x + first + step * kThreads * 4);
      }
#pragma unroll
      for (const float4& value : values) add<term>(value, sums);
    } else {
      for (int64_t i = first; i < n; i += kThreads * 4) {
        for (int k = 0; k < 4 && i + k < n; ++k) add<term>(x[i + k], sums[0]);
      }
    }
  }
  const double total = sum_threads((sums[0] + sums[1]) + (sums[2] + sums[3]));
  if (threadIdx.x == 0) partials[blockIdx.x] = total;
}

// partials [count] -> *result. One block.
__global__ void __launch_bounds__(kThreads)
    reduce_partials_kernel(const double* __restrict__ partials, int count, double* result) {
  double sum = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) sum += partials[i];
  const double total = sum_threads(sum);
  if (threadIdx.x == 0) *result = total;
}

template <Term term>
void reduce(const float* x, int64_t n, double* partials, double* result, Stream stream) {
  const int64_t blocks = std::clamp<int64_t>((n + kTile - 1) / kTile, 1, kReducePartials);
  launch(reduce_tiles_kernel<term>, static_cast<unsigned>(blocks), kThreads, 0, stream, x, n,
         partials);
  launch(reduce_partials_kernel, 1, kThreads, 0, stream, partials, blocks, result);
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

void sum_of_squares(const float* x, int64_t n, double* partials, double* result, Stream stream) {
  check_alignment(x, 16, "sum_of_squares: x");
  reduce<Term::kSquare>(x, n, partials, result, stream);
}

void sum(const float* x, int64_t n, double* partials, double* result, Stream stream) {
  check_alignment(x, 16, "sum: x");
  reduce<Term::kValue>(x, n, partials, result, stream);
}

}  // namespace rung::kernels::cuda
