// RMSNorm on CUDA; the contract is rms_norm.h.
//
// Bound by memory: a vector stays in the registers of the threads that share it, so that it is read
// once. Heads take a part of a warp, one packet of 16 bytes a lane; longer vectors take a warp, and
// past 512 elements a block of warps, 16 elements a thread.
#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/device_vector.h"
#include "kernels/launch.h"
#include "kernels/rms_norm.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kMaxThreads = 1024;  // of a block
constexpr int kSharedBlock = 256;  // threads of a block of several vectors

// What a thread of a long vector holds of each operand: 16 elements in packets, so that two
// operands have room in 64 registers as floats; 8 one by one where rows are not aligned, since each
// of those also needs an address.
constexpr int kElements = 16;
constexpr int kLooseElements = 8;
template <typename T>
constexpr int kPackets = kElements / kPacketWidth<T>;

enum class Residual { kAbsent, kAdded };

// The largest block: kernels with one packet a thread are for short vectors only.
template <int kWidth, int kPieces>
constexpr int kBlock = kWidth > 1 && kPieces == 1 ? kSharedBlock : kMaxThreads;

// The packets of a vector that a thread works on: every blockDim.x-th from threadIdx.x on, kPieces
// at most. A block is threads of a vector times vectors.
template <int kWidth, int kPieces>
struct Piece {
  int64_t vector;
  int64_t x_offset;
  int64_t y_offset;
  int num_packets;  // 0 behind the last vector: its threads only take part in the shuffles

  __device__ explicit Piece(const RmsNormShape& shape) {
    const auto heads = static_cast<unsigned>(shape.heads);
    const unsigned index = blockIdx.x * blockDim.y + threadIdx.y;
    const unsigned row = heads == 1 ? index : index / heads;
    const int64_t head_offset = (index - row * heads) * shape.cols;
    vector = index;
    x_offset = row * shape.x_stride + head_offset;
    y_offset = row * shape.y_stride + head_offset;
    num_packets = row < shape.rows ? static_cast<int>(shape.cols) / kWidth : 0;
  }
  __device__ int packet(int k) const {
    return k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
  }
  // Loads those from number `first` on. Packets behind the end are 0.
  template <typename T, int kCount>
  __device__ void load(const T* x, Packet<T, kWidth> (&packets)[kCount], int first = 0) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const int i = packet(first + k);
      packets[k] = {};
      if (i < num_packets) packets[k] = load_packet<kWidth>(x + i * kWidth);
    }
  }
};

// The sum of `value` over the threads of a vector, the same bits in all of them: each step adds the
// same two numbers in both lanes of a pair.
__device__ float sum_over_vector(float value) {
  __shared__ float warp_sums[kMaxThreads / kWarp];
  const int threads = static_cast<int>(blockDim.x);
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    if (distance < threads) value += __shfl_xor_sync(kAllLanes, value, distance);
  }
  if (threads <= kWarp) return value;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane == 0) warp_sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = lane < threads / kWarp ? warp_sums[lane] : 0.0f;
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, distance);
  }
  return value;
}

// x, or x + residual which becomes sum -> y, rstd. y may be x, and sum x or residual: a thread
// reads a packet before it writes there, and no other thread reads it.
template <typename T, int kWidth, int kPieces, Residual kind>
__global__ void __launch_bounds__(kBlock<kWidth, kPieces>)
    rms_norm_forward_kernel(const T* x, const T* residual, const T* __restrict__ weight, float eps,
                            RmsNormShape shape, T* sum, T* y, float* rstd) {
  const Piece<kWidth, kPieces> piece(shape);
  Packet<T, kWidth> held[kPieces];
  piece.load(x + piece.x_offset, held);
  if constexpr (kind == Residual::kAdded) {
    Packet<T, kWidth> added[kPieces];
    piece.load(residual + piece.x_offset, added);
#pragma unroll
    for (int k = 0; k < kPieces; ++k) {
      const int i = piece.packet(k);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) {
        held[k].values[j] = narrow<T>(widen(held[k].values[j]) + widen(added[k].values[j]));
      }
      if (i < piece.num_packets) store_packet(sum + piece.x_offset + i * kWidth, held[k]);
    }
  }
  float squares = 0.0f;
#pragma unroll
  for (int k = 0; k < kPieces; ++k) {
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      const float value = widen(held[k].values[j]);
      squares += value * value;
    }
  }
  const float mean = sum_over_vector(squares) / static_cast<float>(shape.cols);
  const float vector_rstd = 1.0f / sqrtf(mean + eps);
  if (rstd != nullptr && threadIdx.x == 0 && piece.num_packets > 0) {
    rstd[piece.vector] = vector_rstd;
  }
#pragma unroll
  for (int k = 0; k < kPieces; ++k) {
    const int i = piece.packet(k);
    if (i >= piece.num_packets) continue;
    const Packet<T, kWidth> w = load_packet<kWidth>(weight + i * kWidth);
    Packet<T, kWidth> result;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      const float normed = widen(narrow<T>(widen(held[k].values[j]) * vector_rstd));
      result.values[j] = narrow<T>(normed * widen(w.values[j]));
    }
    store_packet(y + piece.y_offset + i * kWidth, result);
  }
}

// Sets values to those of x, and products to dy * weight.
template <typename T, int kWidth, int kPieces>
__device__ inline void load_products(const Piece<kWidth, kPieces>& piece, const T* x, const T* dy,
                                     const T* __restrict__ weight, float (&values)[kPieces][kWidth],
                                     float (&products)[kPieces][kWidth]) {
  Packet<T, kWidth> x_packets[kPieces];
  Packet<T, kWidth> dy_packets[kPieces];
  Packet<T, kWidth> weights[kPieces];
  piece.load(x, x_packets);
  piece.load(dy, dy_packets);
  piece.load(weight, weights);
#pragma unroll
  for (int k = 0; k < kPieces; ++k) {
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      values[k][j] = widen(x_packets[k].values[j]);
      products[k][j] = widen(dy_packets[k].values[j]) * widen(weights[k].values[j]);
    }
  }
}

// With n = x * rstd and d = dy * weight: dx = rstd * (d - n * mean(n * d)) + dresidual. dx may be
// any of the inputs of its shape, for the same reason as above.
template <typename T, int kWidth, int kPieces, Residual kind>
__global__ void __launch_bounds__(kBlock<kWidth, kPieces>)
    rms_norm_backward_kernel(const T* dy, const T* x, const T* __restrict__ weight,
                             const float* __restrict__ rstd, const T* dresidual, RmsNormShape shape,
                             T* dx) {
  constexpr int kAhead = kPieces < 4 ? kPieces : 4;
  const Piece<kWidth, kPieces> piece(shape);
  float values[kPieces][kWidth];
  float products[kPieces][kWidth];
  float dot = 0.0f;
  load_products(piece, x + piece.x_offset, dy + piece.y_offset, weight, values, products);
#pragma unroll
  for (int k = 0; k < kPieces; ++k) {
#pragma unroll
    for (int j = 0; j < kWidth; ++j) dot += products[k][j] * values[k][j];
  }
  const float vector_rstd = piece.num_packets > 0 ? rstd[piece.vector] : 0.0f;
  const float factor =
      sum_over_vector(dot) * vector_rstd * vector_rstd / static_cast<float>(shape.cols);
#pragma unroll
  for (int k = 0; k < kPieces; ++k) {
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      values[k][j] = vector_rstd * (products[k][j] - values[k][j] * factor);
    }
  }
#pragma unroll
  for (int first = 0; first < kPieces; first += kAhead) {
    // Here, where the products need no registers any more, and before the stores, which might be to
    // the same memory.
    Packet<T, kWidth> passed[kAhead];
    if constexpr (kind == Residual::kAdded) {
      piece.load(dresidual + piece.x_offset, passed, first);
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      const int i = piece.packet(first + k);
      if (i >= piece.num_packets) continue;
      Packet<T, kWidth> result;
#pragma unroll
      for (int j = 0; j < kWidth; ++j) {
        float value = values[first + k][j];
        if constexpr (kind == Residual::kAdded) value += widen(passed[k].values[j]);
        result.values[j] = narrow<T>(value);
      }
      store_packet(dx + piece.x_offset + i * kWidth, result);
    }
  }
}

struct Blocks {
  dim3 grid;
  dim3 block;
};

// A thread gets up to `pieces` packets of `width` elements.
Blocks blocks_for(const RmsNormShape& shape, int width, int pieces) {
  const int64_t num_packets = shape.cols / width;
  const int64_t num_vectors = shape.rows * shape.heads;
  const int64_t num_warps = (num_packets + kWarp * pieces - 1) / (kWarp * pieces);
  const auto lanes = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(num_packets)));
  const int64_t threads = num_warps == 1 ? std::min<int64_t>(lanes, kWarp) : num_warps * kWarp;
  const int64_t vectors_per_block = threads <= kWarp ? kSharedBlock / threads : 1;
  const int64_t num_blocks = (num_vectors + vectors_per_block - 1) / vectors_per_block;
  return {.grid = dim3(static_cast<unsigned>(num_blocks)),
          .block = dim3(static_cast<unsigned>(threads), static_cast<unsigned>(vectors_per_block))};
}

template <typename T>
bool has_aligned_packets(const T* x, const T* weight, const T* y, const RmsNormShape& shape) {
  return has_aligned_rows(x, shape.x_stride) && has_aligned_rows(weight, shape.cols) &&
         has_aligned_rows(y, shape.y_stride);
}

void check_shape(const RmsNormShape& shape, bool is_aligned, const std::string& name) {
  const int64_t max_cols = kMaxThreads * (is_aligned ? kElements : kLooseElements);
  if (shape.cols > max_cols) {
    throw std::invalid_argument(name + ": cols must be at most " + std::to_string(max_cols) +
                                (is_aligned ? "" : " in rows not aligned to 16 bytes") + ", got " +
                                std::to_string(shape.cols));
  }
  if (shape.rows * shape.heads > std::numeric_limits<int32_t>::max()) {
    throw std::invalid_argument(name + ": rows * heads must be below 2^31, got " +
                                std::to_string(shape.rows) + " * " + std::to_string(shape.heads));
  }
}

template <typename Kernel>
struct KernelChoice {
  const char* name;
  Kernel by_element;  // for rows that are not aligned
  Kernel one_packet;  // a lane, for short vectors
  Kernel packets;     // several a thread
  int width;
  int pieces;
};

template <typename Kernel, typename... Args>
void launch_choice(const KernelChoice<Kernel>& choice, bool is_aligned, const RmsNormShape& shape,
                   Stream stream, Args... args) {
  check_shape(shape, is_aligned, choice.name);
  if (shape.rows == 0 || shape.heads == 0 || shape.cols == 0) return;
  const int width = is_aligned ? choice.width : 1;
  const bool is_short = is_aligned && shape.cols <= kWarp * width;
  const int pieces = !is_aligned ? kLooseElements : is_short ? 1 : choice.pieces;
  const Blocks blocks = blocks_for(shape, width, pieces);
  const Kernel kernel = !is_aligned ? choice.by_element
                        : is_short  ? choice.one_packet
                                    : choice.packets;
  launch(kernel, blocks.grid, blocks.block, 0, stream, args...);
}

template <typename T, Residual kind>
void launch_forward(const T* x, const T* residual, const T* weight, float eps,
                    const RmsNormShape& shape, T* sum, T* y, float* rstd, Stream stream) {
  constexpr int kWidth = kPacketWidth<T>;
  const KernelChoice choice = {
      .name = kind == Residual::kAdded ? "rms_norm_add_forward" : "rms_norm_forward",
      .by_element = &rms_norm_forward_kernel<T, 1, kLooseElements, kind>,
      .one_packet = &rms_norm_forward_kernel<T, kWidth, 1, kind>,
      .packets = &rms_norm_forward_kernel<T, kWidth, kPackets<T>, kind>,
      .width = kWidth,
      .pieces = kPackets<T>,
  };
  const bool is_aligned = has_aligned_packets(x, weight, y, shape) &&
                          has_aligned_rows(residual, shape.x_stride) &&
                          has_aligned_rows(sum, shape.x_stride);
  launch_choice(choice, is_aligned, shape, stream, x, residual, weight, eps, shape, sum, y, rstd);
}

template <typename T, Residual kind>
void launch_backward(const T* dy, const T* x, const T* weight, const float* rstd,
                     const T* dresidual, const RmsNormShape& shape, T* dx, Stream stream) {
  constexpr int kWidth = kPacketWidth<T>;
  const KernelChoice choice = {
      .name = "rms_norm_backward",
      .by_element = &rms_norm_backward_kernel<T, 1, kLooseElements, kind>,
      .one_packet = &rms_norm_backward_kernel<T, kWidth, 1, kind>,
      .packets = &rms_norm_backward_kernel<T, kWidth, kPackets<T>, kind>,
      .width = kWidth,
      .pieces = kPackets<T>,
  };
  const bool is_aligned = has_aligned_packets(x, weight, dy, shape) &&
                          has_aligned_rows(dresidual, shape.x_stride) &&
                          has_aligned_rows(dx, shape.x_stride);
  launch_choice(choice, is_aligned, shape, stream, dy, x, weight, rstd, dresidual, shape, dx);
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

template <typename T>
void rms_norm_forward(const T* x, const T* weight, float eps, const RmsNormShape& shape, T* y,
                      float* rstd, Stream stream) {
  launch_forward<T, Residual::kAbsent>(x, nullptr, weight, eps, shape, nullptr, y, rstd, stream);
}

template <typename T>
void rms_norm_add_forward(const T* x, const T* residual, const T* weight, float eps,
                          const RmsNormShape& shape, T* sum, T* y, float* rstd, Stream stream) {
  launch_forward<T, Residual::kAdded>(x, residual, weight, eps, shape, sum, y, rstd, stream);
}

template <typename T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const float* rstd,
                       const T* dresidual, const RmsNormShape& shape, T* dx, Stream stream) {
  const auto launch_kind = dresidual == nullptr ? launch_backward<T, Residual::kAbsent>
                                                : launch_backward<T, Residual::kAdded>;
  launch_kind(dy, x, weight, rstd, dresidual, shape, dx, stream);
}

#define RUNG_INSTANTIATE(T)                                                                        \
  template void rms_norm_forward(const T*, const T*, float, const RmsNormShape&, T*, float*,       \
                                 Stream);                                                          \
  template void rms_norm_add_forward(const T*, const T*, const T*, float, const RmsNormShape&, T*, \
                                     T*, float*, Stream);                                          \
  template void rms_norm_backward(const T*, const T*, const T*, const float*, const T*,            \
                                  const RmsNormShape&, T*, Stream);

RUNG_INSTANTIATE(float)
RUNG_INSTANTIATE(bf16)
RUNG_INSTANTIATE(fp16)

#undef RUNG_INSTANTIATE

}  // namespace rung::kernels::cuda
