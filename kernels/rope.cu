// Rotary embedding on CUDA; the contract is rope.h.
//
// Bound by memory: a thread rotates the same packet of pairs in a few heads of a token, which share
// the angles, and issues all its loads before the first store.
//
// Products and sums use the _rn intrinsics, which are never fused, as transformers rounds them.
#include "kernels/ceil_div.h"
#include "kernels/device_vector.h"
#include "kernels/launch.h"
#include "kernels/rope.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kThreads = 256;  // of a block, at most
constexpr int kBlocksAtOnce = 4;

// Of a thread: as many as make 16 pairs, which have room in 64 registers as floats.
template <int kWidth>
constexpr int kHeads = kWidth > 1 ? 16 / kWidth : 4;

// A block is threads of a token times tokens; a token with many heads takes several in grid.y.
// kBlocksAtOnce holds the compiler to 64 registers.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    rope_kernel(T* x, const float* __restrict__ cos, const float* __restrict__ sin,
                const int32_t* __restrict__ positions, RopeShape shape, float sign) {
  const int64_t token = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  const auto head_dim = static_cast<int>(shape.head_dim);
  const auto heads = static_cast<int>(shape.heads);
  const int half = head_dim / 2;
  const int packets_per_half = half / kWidth;
  const auto task = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  const int first_head = task / packets_per_half * kHeads<kWidth>;
  const int i = task % packets_per_half * kWidth;
  if (token >= shape.tokens || first_head >= heads) return;

  T* const first = x + token * shape.token_stride + int64_t{first_head} * head_dim + i;
  const int num_heads = heads - first_head;
  Packet<T, kWidth> a[kHeads<kWidth>];
  Packet<T, kWidth> b[kHeads<kWidth>];
#pragma unroll
  for (int head = 0; head < kHeads<kWidth>; ++head) {
    if (head >= num_heads) continue;
    a[head] = load_packet<kWidth>(first + head * head_dim);
    b[head] = load_packet<kWidth>(first + head * head_dim + half);
  }
  const int64_t angle = int64_t{positions[token]} * half + i;
  const Packet<float, kWidth> c = load_packet<kWidth>(cos + angle);
  const Packet<float, kWidth> s = load_packet<kWidth>(sin + angle);
#pragma unroll
  for (int head = 0; head < kHeads<kWidth>; ++head) {
    if (head >= num_heads) continue;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      const float from = widen(a[head].values[j]);
      const float to = widen(b[head].values[j]);
      const float sine = sign * s.values[j];
      a[head].values[j] = narrow<T>(__fsub_rn(__fmul_rn(from, c.values[j]), __fmul_rn(to, sine)));
      b[head].values[j] = narrow<T>(__fadd_rn(__fmul_rn(to, c.values[j]), __fmul_rn(from, sine)));
    }
    store_packet(first + head * head_dim, a[head]);
    store_packet(first + head * head_dim + half, b[head]);
  }
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

template <typename T>
void rope_(T* x, const float* cos, const float* sin, const int32_t* positions,
           const RopeShape& shape, RopeDirection direction, Stream stream) {
  if (shape.head_dim % 2 != 0) {
    throw std::invalid_argument("rope_: head_dim must be even, got " +
                                std::to_string(shape.head_dim));
  }
  if (shape.tokens == 0 || shape.heads == 0 || shape.head_dim == 0) return;
  constexpr int kWidth = kPacketWidth<T>;
  const int64_t half = shape.head_dim / 2;
  const bool is_aligned = has_aligned_rows(x, shape.token_stride) && half % kWidth == 0 &&
                          has_aligned_rows(cos, half) && has_aligned_rows(sin, half);
  const int64_t threads = is_aligned ? half / kWidth * ceil_div(shape.heads, kHeads<kWidth>)
                                     : half * ceil_div(shape.heads, kHeads<1>);
  const int64_t blocks_per_token = ceil_div(threads, kThreads);
  const int64_t block_threads = ceil_div(threads, blocks_per_token);
  const int64_t tokens_per_block = kThreads / block_threads;
  const dim3 grid(static_cast<unsigned>(ceil_div(shape.tokens, tokens_per_block)),
                  static_cast<unsigned>(blocks_per_token));
  const dim3 block(static_cast<unsigned>(block_threads), static_cast<unsigned>(tokens_per_block));
  const float sign = direction == RopeDirection::kForward ? 1.0f : -1.0f;
  launch(is_aligned ? rope_kernel<T, kWidth> : rope_kernel<T, 1>, grid, block, 0, stream, x, cos,
         sin, positions, shape, sign);
}

template void rope_(float*, const float*, const float*, const int32_t*, const RopeShape&,
                    RopeDirection, Stream);
template void rope_(bf16*, const float*, const float*, const int32_t*, const RopeShape&,
                    RopeDirection, Stream);
template void rope_(fp16*, const float*, const float*, const int32_t*, const RopeShape&,
                    RopeDirection, Stream);

}  // namespace rung::kernels::cuda
