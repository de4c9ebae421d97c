// SwiGLU on CUDA; the contract is swiglu.h. A thread owns one packet of gate and the one of up next
// to it. The bound is memory as long as an element of 6 bytes takes no more than some 40
// instructions.
//
// What the forward and the backward pass both compute uses the _rn intrinsics, which are never
// fused: they must agree in every bit.
#include "kernels/device_vector.h"
#include "kernels/row_tiles.h"
#include "kernels/swiglu.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

// 1 / (1 + e^-x). Results that are rounded to 16 bits have no use for more than the hardware's
// approximations, some 1e-6 off; in float these would show.
template <typename T>
__device__ inline float sigmoid(float x) {
  if constexpr (sizeof(T) == 2) {
    return __fdividef(1.0f, __fadd_rn(1.0f, __expf(-x)));
  } else {
    return __fdiv_rn(1.0f, __fadd_rn(1.0f, expf(-x)));
  }
}

// One element of the forward pass, s = sigmoid(gate).
template <typename T>
__device__ inline T output(float gate, float s, float up) {
  return narrow<T>(__fmul_rn(rounded<T>(__fmul_rn(gate, s)), up));
}

// gate_up [rows, 2 * inter] -> y [rows, inter]
template <typename T, int N>
__global__ void __launch_bounds__(kTileThreads)
    swiglu_forward_kernel(const T* __restrict__ gate_up, SwigluShape shape, RowTiles tiles,
                          T* __restrict__ y) {
  const int64_t row = tiles.row();
  const int packet = tiles.first_packet<1>();
  if (row >= tiles.rows || packet >= tiles.packets) return;
  const int64_t gate_at = row * shape.gate_up_stride + packet * N;
  const auto gate = load_packet<N>(gate_up + gate_at);
  const auto up = load_packet<N>(gate_up + gate_at + shape.inter);
  Packet<T, N> out;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float g = widen(gate.values[i]);
    out.values[i] = output<T>(g, sigmoid<T>(g), widen(up.values[i]));
  }
  store_packet(y + row * shape.y_stride + packet * N, out);
}

// dy [rows, inter], gate_up [rows, 2 * inter] -> d_gate_up [rows, 2 * inter], h [rows, inter].
// d_gate_up may be gate_up, and h may be dy: a thread reads what it overwrites, first.
template <typename T, int N>
__global__ void __launch_bounds__(kTileThreads)
    swiglu_backward_kernel(const T* dy, const T* gate_up, SwigluShape shape, RowTiles tiles,
                           T* d_gate_up, T* h) {
  const int64_t row = tiles.row();
  const int packet = tiles.first_packet<1>();
  if (row >= tiles.rows || packet >= tiles.packets) return;
  const int64_t at = row * shape.y_stride + packet * N;
  const int64_t gate_at = row * shape.gate_up_stride + packet * N;
  const auto d_out = load_packet<N>(dy + at);
  const auto gate = load_packet<N>(gate_up + gate_at);
  const auto up = load_packet<N>(gate_up + gate_at + shape.inter);
  Packet<T, N> d_gate;
  Packet<T, N> d_up;
  Packet<T, N> out;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float d = widen(d_out.values[i]);
    const float g = widen(gate.values[i]);
    const float u = widen(up.values[i]);
    const float s = sigmoid<T>(g);
    d_gate.values[i] = narrow<T>(d * u * (s * (1.0f + g * (1.0f - s))));
    d_up.values[i] = narrow<T>(d * (g * s));
    out.values[i] = output<T>(g, s, u);
  }
  store_packet(d_gate_up + gate_at, d_gate);
  store_packet(d_gate_up + gate_at + shape.inter, d_up);
  store_packet(h + at, out);
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

template <typename T>
void swiglu_forward(const T* gate_up, const SwigluShape& shape, T* y, Stream stream) {
  if (shape.rows == 0 || shape.inter == 0) return;
  constexpr int N = kPacketWidth<T>;
  const bool whole = shape.inter % N == 0 && has_aligned_rows(gate_up, shape.gate_up_stride) &&
                     has_aligned_rows(y, shape.y_stride);
  const RowTiles tiles = tile_rows(shape.rows, shape.inter / (whole ? N : 1), 1, "swiglu_forward");
  launch(whole ? swiglu_forward_kernel<T, N> : swiglu_forward_kernel<T, 1>, tiles.grid, tiles.block,
         0, stream, gate_up, shape, tiles, y);
}

template <typename T>
void swiglu_backward(const T* dy, const T* gate_up, const SwigluShape& shape, T* d_gate_up, T* h,
                     Stream stream) {
  if (shape.rows == 0 || shape.inter == 0) return;
  constexpr int N = kPacketWidth<T>;
  const bool whole = shape.inter % N == 0 && has_aligned_rows(dy, shape.y_stride) &&
                     has_aligned_rows(h, shape.y_stride) &&
                     has_aligned_rows(gate_up, shape.gate_up_stride) &&
                     has_aligned_rows(d_gate_up, shape.gate_up_stride);
  const RowTiles tiles = tile_rows(shape.rows, shape.inter / (whole ? N : 1), 1, "swiglu_backward");
  launch(whole ? swiglu_backward_kernel<T, N> : swiglu_backward_kernel<T, 1>, tiles.grid,
         tiles.block, 0, stream, dy, gate_up, shape, tiles, d_gate_up, h);
}

template void swiglu_forward(const float*, const SwigluShape&, float*, Stream);
template void swiglu_forward(const bf16*, const SwigluShape&, bf16*, Stream);
template void swiglu_forward(const fp16*, const SwigluShape&, fp16*, Stream);
template void swiglu_backward(const float*, const float*, const SwigluShape&, float*, float*,
                              Stream);
template void swiglu_backward(const bf16*, const bf16*, const SwigluShape&, bf16*, bf16*, Stream);
template void swiglu_backward(const fp16*, const fp16*, const SwigluShape&, fp16*, fp16*, Stream);

}  // namespace rung::kernels::cuda
