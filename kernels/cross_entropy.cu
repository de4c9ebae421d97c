// Cross-entropy on CUDA; the contract is cross_entropy.h. One block of threads works on a row.
//
// Bound by memory: a row is read twice and written once. The second pass walks from the row's end
// back to its start, because what was read last is still in the second-level cache: the rows in
// work at one time (some 300 KB each for a vocabulary of 152k in bf16) are more than it holds.
#include <limits>

#include "kernels/cross_entropy.h"
#include "kernels/device_vector.h"
#include "kernels/launch.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;
constexpr int kSteps = 4;  // packets of a thread whose loads are issued together
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr float kLog2E = 1.44269504f;
// Where maxima start. Finite, so that exp(logit - max) is 0, not NaN, for logits of -infinity.
constexpr float kLowest = std::numeric_limits<float>::lowest();

enum class Output { kLoss, kLossAndGradient };
// How rows are accessed: 16 bytes at a time, or, where they are not aligned, by element.
enum class Access { kPackets, kElements };

template <typename T>
using RowPacket = Packet<T, kPacketWidth<T>>;

template <typename T>
__device__ inline T minus_infinity();
template <>
__device__ inline float minus_infinity<float>() {
  return __uint_as_float(0xff800000u);
}
template <>
__device__ inline bf16 minus_infinity<bf16>() {
  return {0xff80};
}
template <>
__device__ inline fp16 minus_infinity<fp16>() {
  return {0xfc00};
}

// One row as packets and a tail of less than a packet. Thread t owns packets t, t + kThreads, ...
// and element t of the tail.
template <typename T, Access access>
struct Row {
  static constexpr int kWidth = kPacketWidth<T>;

  T* x;
  int vocab;

  __device__ int num_packets() const { return vocab / kWidth; }
  // Groups of kSteps packets a thread.
  __device__ int num_groups() const {
    return (num_packets() + kThreads * kSteps - 1) / (kThreads * kSteps);
  }
  __device__ int packet(int group, int step) const {
    return (group * kSteps + step) * kThreads + static_cast<int>(threadIdx.x);
  }
  __device__ int tail() const { return num_packets() * kWidth + static_cast<int>(threadIdx.x); }

  // A packet past the last one holds logits of -infinity, which add nothing.
  __device__ void load(int group, RowPacket<T> (&packets)[kSteps]) const {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const int i = packet(group, step);
      if (i < num_packets()) {
        if constexpr (access == Access::kPackets) {
          packets[step] = load_packet<kWidth>(x + i * kWidth);
        } else {
#pragma unroll
          for (int k = 0; k < kWidth; ++k) packets[step].values[k] = x[i * kWidth + k];
        }
      } else {
#pragma unroll
        for (int k = 0; k < kWidth; ++k) packets[step].values[k] = minus_infinity<T>();
      }
    }
  }

  __device__ void store(int i, const RowPacket<T>& values) const {
    if (i >= num_packets()) return;
    if constexpr (access == Access::kPackets) {
      store_packet(x + i * kWidth, values);
    } else {
#pragma unroll
      for (int k = 0; k < kWidth; ++k) x[i * kWidth + k] = values.values[k];
    }
  }
};

// e^x for x <= 0, relatively off by some 2^-22 + 2^-24 |x|; 0 below -87.3.
__device__ inline float fast_exp(float x) { return exp2_approx(x * kLog2E); }

// Of the elements of one thread, or of all.
template <typename Sum>
struct Normaliser {
  float max = kLowest;
  Sum sum = 0;  // of exp(x - max)
};

template <typename T, int kWidth, int kCount>
__device__ inline void add(const Packet<T, kWidth> (&packets)[kCount], Normaliser<float>& total) {
  float max = total.max;
#pragma unroll
  for (const auto& packet : packets) {
#pragma unroll
    for (const T& value : packet.values) max = fmaxf(max, widen(value));
  }
  float sum = total.sum * fast_exp(total.max - max);
#pragma unroll
  for (const auto& packet : packets) {
    float part = 0.0f;
#pragma unroll
    for (const T& value : packet.values) part += fast_exp(widen(value) - max);
    sum += part;
  }
  total = {max, sum};
}

// In all lanes. Where there is NaN it is in the sum; maxima leave it out.
__device__ inline Normaliser<double> combine_lanes(const Normaliser<double>& lane) {
  float max = lane.max;
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, distance));
  }
  double sum = lane.sum * fast_exp(lane.max - max);
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  }
  return {max, sum};
}

// In the threads of the first warp; the others get what their own warp has. One barrier.
__device__ inline Normaliser<double> combine_threads(const Normaliser<float>& thread) {
  __shared__ float maxima[kWarps];
  __shared__ double sums[kWarps];
  static_assert(kWarps <= kWarp, "the first warp combines all warps");
  const unsigned lane = threadIdx.x % kWarp;
  const Normaliser<double> warp = combine_lanes({thread.max, thread.sum});
  if (lane == 0) {
    maxima[threadIdx.x / kWarp] = warp.max;
    sums[threadIdx.x / kWarp] = warp.sum;
  }
  __syncthreads();
  if (threadIdx.x >= kWarp) return warp;
  Normaliser<double> other;
  if (lane < kWarps) other = {maxima[lane], sums[lane]};
  return combine_lanes(other);
}

// x = exp(x - max) * factor, from the last packet to the first.
template <typename T, Access access>
__device__ inline void write_softmax(const Row<T, access>& row, float max, float factor) {
  for (int group = row.num_groups() - 1; group >= 0; --group) {
    RowPacket<T> packets[kSteps];
    row.load(group, packets);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (T& value : packets[step].values) {
        value = narrow<T>(fast_exp(widen(value) - max) * factor);
      }
      row.store(row.packet(group, step), packets[step]);
    }
  }
  if (row.tail() < row.vocab) {
    T& value = row.x[row.tail()];
    value = narrow<T>(fast_exp(widen(value) - max) * factor);
  }
}

template <typename T, Access access>
__device__ inline void write_zero(const Row<T, access>& row) {
  RowPacket<T> zeros;
#pragma unroll
  for (T& value : zeros.values) value = narrow<T>(0.0f);
  for (int i = static_cast<int>(threadIdx.x); i < row.num_packets(); i += kThreads) {
    row.store(i, zeros);
  }
  if (row.tail() < row.vocab) row.x[row.tail()] = narrow<T>(0.0f);
}

// logits [rows, vocab] -> losses [rows] and, in place, the gradient. A block works on one row.
template <typename T, Access access, Output output>
__global__ void __launch_bounds__(kThreads, 2)
    cross_entropy_kernel(T* logits, const int32_t* __restrict__ targets, int vocab, int64_t stride,
                         float grad_scale, float* __restrict__ losses) {
  __shared__ float row_max;
  __shared__ float row_factor;
  const Row<T, access> row = {logits + int64_t{blockIdx.x} * stride, vocab};
  const int target = targets[blockIdx.x];
  if (target < 0) {
    if (threadIdx.x == 0) losses[blockIdx.x] = 0.0f;
    if constexpr (output == Output::kLossAndGradient) write_zero(row);
    return;
  }

  const float target_logit = threadIdx.x == 0 ? widen(row.x[target]) : 0.0f;
  Normaliser<float> mine;
  for (int group = 0; group < row.num_groups(); ++group) {
    RowPacket<T> packets[kSteps];
    row.load(group, packets);
    add(packets, mine);
  }
  if (row.tail() < vocab) {
    const Packet<T, 1> tail[1] = {{row.x[row.tail()]}};
    add(tail, mine);
  }
  const Normaliser<double> all = combine_threads(mine);

  if (threadIdx.x == 0) {
    row_max = all.max;
    row_factor = static_cast<float>(grad_scale / all.sum);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    losses[blockIdx.x] = static_cast<float>(log(all.sum) + (double{all.max} - target_logit));
  }
  if constexpr (output == Output::kLossAndGradient) {
    write_softmax(row, row_max, row_factor);
    __syncthreads();
    if (threadIdx.x == 0) {
      const double p = fast_exp(target_logit - all.max) / all.sum;
      row.x[target] = narrow<T>(static_cast<float>(grad_scale * (p - 1.0)));
    }
  }
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

template <typename T>
void cross_entropy(T* logits, const int32_t* targets, int64_t rows, int64_t vocab, int64_t stride,
                   std::optional<float> grad_scale, float* losses, Stream stream) {
  constexpr int64_t kLimit = std::numeric_limits<int32_t>::max();
  if (stride < vocab || rows > kLimit || vocab > kLimit) {
    throw std::invalid_argument("cross_entropy: " + std::to_string(rows) + " rows of " +
                                std::to_string(vocab) + " logits, " + std::to_string(stride) +
                                " apart, cannot be launched");
  }
  if (rows == 0) return;
  const auto launch_with = [&](auto kernel) {
    launch(kernel, static_cast<unsigned>(rows), kThreads, 0, stream, logits, targets, vocab, stride,
           grad_scale.value_or(0.0f), losses);
  };
  if (has_aligned_rows(logits, stride)) {
    launch_with(grad_scale ? cross_entropy_kernel<T, Access::kPackets, Output::kLossAndGradient>
                           : cross_entropy_kernel<T, Access::kPackets, Output::kLoss>);
  } else {
    launch_with(grad_scale ? cross_entropy_kernel<T, Access::kElements, Output::kLossAndGradient>
                           : cross_entropy_kernel<T, Access::kElements, Output::kLoss>);
  }
}

template void cross_entropy(float*, const int32_t*, int64_t, int64_t, int64_t, std::optional<float>,
                            float*, Stream);
template void cross_entropy(bf16*, const int32_t*, int64_t, int64_t, int64_t, std::optional<float>,
                            float*, Stream);
template void cross_entropy(fp16*, const int32_t*, int64_t, int64_t, int64_t, std::optional<float>,
                            float*, Stream);

}  // namespace rung::kernels::cuda
