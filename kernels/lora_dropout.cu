// Adapter dropout on CUDA; the contract is lora_dropout.h, the results are those of
// lora_dropout.cpp bit for bit.
//
// A thread mixes its row's key once and applies the mask to four packets; the mask costs some 12
// integer instructions an element against 4 bytes or more of traffic, and stays hidden behind it.
#include "kernels/device_vector.h"
#include "kernels/lora_dropout.h"
#include "kernels/row_tiles.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kSteps = 4;  // packets per thread, loads issued first

// value / (1 - p) where kept, in float; `key` is that of the row.
__device__ inline float masked(float value, const DropoutMask& mask, uint64_t key, int column) {
  const bool kept = dropout_draw(key, static_cast<uint32_t>(column)) >= mask.threshold;
  return kept ? __fmul_rn(value, mask.scale) : 0.0f;
}

// x [rows, cols], x_stride elements between rows -> y [rows, cols]
template <typename T, int N>
__global__ void __launch_bounds__(kTileThreads)
    lora_dropout_kernel(const T* __restrict__ x, int64_t x_stride,
                        const uint64_t* __restrict__ row_keys, DropoutMask mask, RowTiles tiles,
                        T* __restrict__ y) {
  const int64_t row = tiles.row();
  const int first = tiles.first_packet<kSteps>();
  if (row >= tiles.rows) return;
  x += row * x_stride;
  y += row * tiles.packets * N;
  Packet<T, N> in[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int packet = first + step * static_cast<int>(blockDim.x);
    if (packet < tiles.packets) in[step] = load_packet<N>(x + packet * N);
  }
  const uint64_t key = dropout_key(row_keys[row], mask.module_key);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int packet = first + step * static_cast<int>(blockDim.x);
    if (packet >= tiles.packets) break;
    Packet<T, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float value = masked(widen(in[step].values[i]), mask, key, packet * N + i);
      out.values[i] = narrow<T>(value);
    }
    store_packet(y + packet * N, out);
  }
}

// g [rows, cols], g_stride elements between rows: dx [rows, cols] += g masked
template <typename T, int N>
__global__ void __launch_bounds__(kTileThreads)
    lora_dropout_accumulate_kernel(const T* __restrict__ g, int64_t g_stride,
                                   const uint64_t* __restrict__ row_keys, DropoutMask mask,
                                   RowTiles tiles, T* __restrict__ dx) {
  const int64_t row = tiles.row();
  const int first = tiles.first_packet<kSteps>();
  if (row >= tiles.rows) return;
  g += row * g_stride;
  dx += row * tiles.packets * N;
  Packet<T, N> in[kSteps];
  Packet<T, N> sum[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int packet = first + step * static_cast<int>(blockDim.x);
    if (packet >= tiles.packets) continue;
    in[step] = load_packet<N>(g + packet * N);
    sum[step] = load_packet<N>(dx + packet * N);
  }
  const uint64_t key = dropout_key(row_keys[row], mask.module_key);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int packet = first + step * static_cast<int>(blockDim.x);
    if (packet >= tiles.packets) break;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float value = masked(widen(in[step].values[i]), mask, key, packet * N + i);
      sum[step].values[i] = narrow<T>(__fadd_rn(widen(sum[step].values[i]), value));
    }
    store_packet(dx + packet * N, sum[step]);
  }
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

template <typename T>
void lora_dropout(const T* x, const uint64_t* row_keys, uint64_t module_key, float p, int64_t rows,
                  int64_t cols, int64_t x_stride, T* y, Stream stream) {
  if (rows == 0 || cols == 0) return;
  constexpr int N = kPacketWidth<T>;
  const bool whole = has_aligned_rows(x, x_stride) && has_aligned_rows(y, cols) && cols % N == 0;
  const RowTiles tiles = tile_rows(rows, whole ? cols / N : cols, kSteps, "lora_dropout");
  launch(whole ? lora_dropout_kernel<T, N> : lora_dropout_kernel<T, 1>, tiles.grid, tiles.block, 0,
         stream, x, x_stride, row_keys, dropout_mask(module_key, p), tiles, y);
}

template <typename T>
void lora_dropout_accumulate(const T* g, const uint64_t* row_keys, uint64_t module_key, float p,
                             int64_t rows, int64_t cols, int64_t g_stride, T* dx, Stream stream) {
  if (rows == 0 || cols == 0) return;
  constexpr int N = kPacketWidth<T>;
  const bool whole = has_aligned_rows(g, g_stride) && has_aligned_rows(dx, cols) && cols % N == 0;
  const RowTiles tiles =
      tile_rows(rows, whole ? cols / N : cols, kSteps, "lora_dropout_accumulate");
  launch(whole ? lora_dropout_accumulate_kernel<T, N> : lora_dropout_accumulate_kernel<T, 1>,
         tiles.grid, tiles.block, 0, stream, g, g_stride, row_keys, dropout_mask(module_key, p),
         tiles, dx);
}

template void lora_dropout(const float*, const uint64_t*, uint64_t, float, int64_t, int64_t,
                           int64_t, float*, Stream);
template void lora_dropout(const bf16*, const uint64_t*, uint64_t, float, int64_t, int64_t, int64_t,
                           bf16*, Stream);
template void lora_dropout(const fp16*, const uint64_t*, uint64_t, float, int64_t, int64_t, int64_t,
                           fp16*, Stream);
template void lora_dropout_accumulate(const float*, const uint64_t*, uint64_t, float, int64_t,
                                      int64_t, int64_t, float*, Stream);
template void lora_dropout_accumulate(const bf16*, const uint64_t*, uint64_t, float, int64_t,
                                      int64_t, int64_t, bf16*, Stream);
template void lora_dropout_accumulate(const fp16*, const uint64_t*, uint64_t, float, int64_t,
                                      int64_t, int64_t, fp16*, Stream);

}  // namespace rung::kernels::cuda
