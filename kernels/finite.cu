// Scaling with a check on CUDA; the contract is finite.h. Every thread that finds a value which is
// not finite stores the same 1, so no order matters.
#include <limits>

#include "kernels/device_vector.h"
#include "kernels/finite.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kThreads = 256;
constexpr int kSteps = 4;  // packets per thread, loads issued first

__device__ inline bool is_finite(float value) {
  return (__float_as_uint(value) & 0x7f800000u) != 0x7f800000u;
}

// x [n] *= factor. The n % N elements behind the last packet go to the first threads of the grid.
template <int N>
__global__ void __launch_bounds__(kThreads)
    scale_and_check_kernel(float* __restrict__ x, int64_t n, float factor, int32_t* flag) {
  const int64_t num_packets = n / N;
  const int64_t first = int64_t{blockIdx.x} * (kThreads * kSteps) + threadIdx.x;
  bool all_finite = true;
  Packet<float, N> packets[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int64_t packet = first + step * kThreads;
    if (packet < num_packets) packets[step] = load_packet<N>(x + packet * N);
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int64_t packet = first + step * kThreads;
    if (packet >= num_packets) break;
#pragma unroll
    for (float& value : packets[step].values) {
      value = __fmul_rn(value, factor);
      all_finite &= is_finite(value);
    }
    store_packet(x + packet * N, packets[step]);
  }
  const int64_t tail = num_packets * N + first;
  if (N > 1 && tail < n) {
    x[tail] = __fmul_rn(x[tail], factor);
    all_finite &= is_finite(x[tail]);
  }
  if (!all_finite) *flag = 1;
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

void scale_and_check(float* x, int64_t n, float factor, int32_t* flag, Stream stream) {
  if (n == 0) return;
  constexpr int N = kPacketWidth<float>;
  const bool whole = has_aligned_rows(x, N);
  const int64_t per_block = int64_t{kThreads} * kSteps * (whole ? N : 1);
  const int64_t grid = (n + per_block - 1) / per_block;
  if (grid > std::numeric_limits<int32_t>::max()) {
    throw std::invalid_argument("scale_and_check: " + std::to_string(n) +
                                " elements are too many for one launch");
  }
  launch(whole ? scale_and_check_kernel<N> : scale_and_check_kernel<1>, static_cast<unsigned>(grid),
         kThreads, 0, stream, x, n, factor, flag);
}

}  // namespace rung::kernels::cuda
