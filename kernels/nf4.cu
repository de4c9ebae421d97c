// NF4 on CUDA; the contract is nf4.h, the results are those of nf4.cpp byte for byte.
//
// Everything here is bound by memory. A thread quantises 8 consecutive elements; the 8 lanes that
// share a block of 64 find its largest magnitude with shuffles. It dequantises packets of 16 bytes,
// whose codes are 4 bytes (2 for floats), so that what a warp writes at once is contiguous.
//
// Products and sums that the CPU rounds separately use the _rn intrinsics, which are never fused.
#include <algorithm>
#include <limits>

#include "kernels/device_vector.h"
#include "kernels/fast_divide.h"
#include "kernels/nf4.h"
#include "kernels/nf4_tables.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;                           // elements that a thread quantises
constexpr int kLanesPerBlock = kNf4Block / kVector;  // lanes that share a scale then
constexpr int kSteps = 4;                            // packets that a thread dequantises
constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kMeanWarps = 32;

enum class Scales { kPlain, kNested };

// Element k of those whose codes are the bytes of a number: the even one is the high nibble.
__device__ constexpr int nibble_shift(int k) { return 4 * (k ^ 1); }

// Largest magnitude of the 64 elements of the lane's block, in all its 8 lanes. Compares bits, so
// that NaN wins as it does on the CPU.
__device__ inline float block_absmax(const float (&values)[kVector]) {
  uint32_t largest = 0;
#pragma unroll
  for (float value : values) {
    const uint32_t magnitude = __float_as_uint(value) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
#pragma unroll
  for (int distance = kLanesPerBlock / 2; distance > 0; distance /= 2) {
    const uint32_t other = __shfl_xor_sync(kAllLanes, largest, distance);
    largest = other > largest ? other : largest;
  }
  return __uint_as_float(largest);
}

// x [n] -> codes [ceil(n / 2)], absmax [ceil(n / 64)]. One vector per thread. No thread leaves
// early: all lanes take part in the shuffles.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    nf4_quantize_kernel(const T* __restrict__ x, int64_t n, Nf4Tables tables,
                        uint8_t* __restrict__ codes, float* __restrict__ absmax) {
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kVector;
  const bool is_full_vector = first + kVector <= n;
  float values[kVector] = {};
  if (is_full_vector) {
    const auto vector = load_packet<kVector>(x + first);
#pragma unroll
    for (int k = 0; k < kVector; ++k) values[k] = widen(vector.values[k]);
  } else {
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      if (first + k < n) values[k] = widen(x[first + k]);
    }
  }
  const float largest = block_absmax(values);
  const float divisor = largest < kNf4MinAbsmax ? kNf4MinAbsmax : largest;
  const float reciprocal = __fdiv_rn(1.0f, divisor);
  const bool is_full_block = (first / kNf4Block + 1) * kNf4Block <= n;
  uint32_t packed = 0;
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    const float scaled =
        is_full_block ? __fmul_rn(values[k], reciprocal) : __fdiv_rn(values[k], divisor);
    uint32_t code = 0;
#pragma unroll
    for (int i = 0; i < 15; ++i) code += !(scaled <= tables.thresholds[i]);
    packed |= code << nibble_shift(k);
  }
  if (is_full_vector) {
    *reinterpret_cast<uint32_t*>(codes + first / 2) = packed;
  } else {
    for (int k = 0; k < kVector && first + k < n; k += 2) {
      codes[(first + k) / 2] = static_cast<uint8_t>(packed >> (4 * k));
    }
  }
  if (threadIdx.x % kLanesPerBlock == 0 && first < n) {
    absmax[first / kNf4Block] = is_full_block ? largest : divisor;
  }
}

// The codes of a packet of kWidth elements.
template <int kWidth>
using PackedCodes = std::conditional_t<kWidth == 8, uint32_t, uint16_t>;

// A block's scale as it is stored.
template <Scales scales>
using StoredScale = std::conditional_t<scales == Scales::kPlain, float, uint8_t>;

template <Scales scales>
__device__ inline StoredScale<scales> load_scale(const Nf4View& w, int64_t block) {
  if constexpr (scales == Scales::kPlain) {
    return w.absmax[block];
  } else {
    return w.absmax_codes[block];
  }
}

// `range` is the second-level scale.
template <Scales scales>
__device__ inline float restore_scale(StoredScale<scales> stored, const float* map, float range,
                                      float offset) {
  if constexpr (scales == Scales::kPlain) {
    return stored;
  } else {
    return __fadd_rn(__fmul_rn(map[stored], range), offset);
  }
}

// The elements whose codes are `packed`, rounded to T.
template <typename T>
__device__ inline Packet<T, kPacketWidth<T>> look_up(const float* table, uint32_t packed,
                                                     float scale) {
  Packet<T, kPacketWidth<T>> result;
#pragma unroll
  for (int k = 0; k < kPacketWidth<T>; ++k) {
    result.values[k] = narrow<T>(__fmul_rn(table[(packed >> nibble_shift(k)) & 15u], scale));
  }
  return result;
}

// Where elements go. store() writes the packet of elements [first, first + kWidth), or the first
// `count` of them.
struct Dense {
  template <typename T, int kWidth>
  __device__ void store(const Packet<T, kWidth>& packet, int64_t first, T* out) const {
    store_packet(out + first, packet);
  }
  template <typename T, int kWidth>
  __device__ void store(const Packet<T, kWidth>& packet, int64_t first, int count, T* out) const {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      if (k < count) out[first + k] = packet.values[k];
    }
  }
};

// Rows of whole packets, fewer than 2^31 of them. Counted in packets, so that the compiler sees
// that a packet is aligned and does not cut its store.
struct PacketRows {
  template <typename T, int kWidth>
  __device__ void store(const Packet<T, kWidth>& packet, int64_t first, T* out) const {
    Dense().store(packet, place(first / kWidth) * kWidth, out);
  }
  template <typename T, int kWidth>
  __device__ void store(const Packet<T, kWidth>& packet, int64_t first, int count, T* out) const {
    Dense().store(packet, place(first / kWidth) * kWidth, count, out);
  }
  __device__ int64_t place(int64_t packet_idx) const {
    return packet_idx + gap * packets_per_row.divide(static_cast<uint32_t>(packet_idx));
  }

  FastDivider packets_per_row;
  int64_t gap;  // packets between the end of a row and the next one
};

// Rows of any length at any place, element by element.
struct AnyRows {
  template <typename T, int kWidth>
  __device__ void store(const Packet<T, kWidth>& packet, int64_t first, T* out) const {
    store(packet, first, kWidth, out);
  }
  template <typename T, int kWidth>
  __device__ void store(const Packet<T, kWidth>& packet, int64_t first, int count, T* out) const {
    const int64_t row = first / rows.cols;
    int64_t col = first - row * rows.cols;
    out += row * rows.stride;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      if (k < count) out[col] = packet.values[k];
      if (++col == rows.cols) {
        col = 0;
        out += rows.stride;
      }
    }
  }

  Nf4Rows rows;
};

// A packet that may end past the tensor's last element.
template <typename T, typename Layout>
__device__ inline void dequantize_tail(const Nf4View& w, const float* table, int64_t first,
                                       float scale, const Layout& layout, T* out) {
  constexpr int kWidth = kPacketWidth<T>;
  const int64_t left = w.num_elements - first;
  const int count = left < kWidth ? static_cast<int>(left) : kWidth;
  uint32_t packed = 0;
#pragma unroll
  for (int k = 0; k < kWidth; k += 2) {
    if (k < count) packed |= uint32_t{w.codes[(first + k) / 2]} << (4 * k);
  }
  layout.store(look_up<T>(table, packed, scale), first, count, out);
}

// w -> out [num_elements], rounded to T. The 16 values lie in 16 different banks of shared memory,
// so that lanes never wait for one another in the lookup. In all thread blocks but the last the
// loads of all steps are issued before anything is waited for.
template <typename T, Scales scales, typename Layout>
__global__ void __launch_bounds__(kThreads)
    nf4_dequantize_kernel(Nf4View w, Nf4Tables tables, Layout layout, T* __restrict__ out) {
  static_assert(kThreads == 256, "each thread copies one entry of the nested map");
  constexpr int kWidth = kPacketWidth<T>;
  constexpr int kStride = kThreads * kWidth;
  constexpr int kTile = kStride * kSteps;
  static_assert(kNf4Block * kNf4NestedBlock % kTile == 0, "a tile has one second-level scale");
  __shared__ float table[16];
  __shared__ float map[256];

  const int64_t tile = int64_t{blockIdx.x} * kTile;
  const int64_t base = tile + threadIdx.x * kWidth;
  const bool is_full_tile = tile + kTile <= w.num_elements;
  PackedCodes<kWidth> packed[kSteps] = {};
  StoredScale<scales> stored[kSteps] = {};
  float range = 0.0f;
  float map_entry = 0.0f;
  if constexpr (scales == Scales::kNested) {
    range = w.nested_absmax[tile / (kNf4Block * kNf4NestedBlock)];
    map_entry = w.nested_map[threadIdx.x];
  }
  if (is_full_tile) {
    const uint8_t* codes = w.codes + base / 2;
    const int64_t block = base / kNf4Block;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      packed[step] = *reinterpret_cast<const PackedCodes<kWidth>*>(codes + step * (kStride / 2));
      stored[step] = load_scale<scales>(w, block + step * (kStride / kNf4Block));
    }
  }
  // Not one value a thread: an index into parameters that is not constant costs 64 instructions.
  if (threadIdx.x == 0) {
#pragma unroll
    for (int k = 0; k < 16; ++k) table[k] = tables.values[k];
  }
  if constexpr (scales == Scales::kNested) map[threadIdx.x] = map_entry;
  __syncthreads();

  if (is_full_tile) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const float scale = restore_scale<scales>(stored[step], map, range, w.nested_offset);
      layout.store(look_up<T>(table, packed[step], scale), base + step * kStride, out);
    }
  } else {
    for (int64_t first = base; first < w.num_elements; first += kStride) {
      const float scale = restore_scale<scales>(load_scale<scales>(w, first / kNf4Block), map,
                                                range, w.nested_offset);
      dequantize_tail(w, table, first, scale, layout, out);
    }
  }
}

// absmax [n] -> *mean, in the summation order that nf4_tables.h describes. One block: lane l of
// every warp is lane l of the sum; a warp adds up one group of 4^power rows at a time, the
// groups' sums are folded in order by the first warp.
__global__ void __launch_bounds__(kMeanWarps* kWarp)
    nf4_mean_kernel(const float* __restrict__ absmax, int64_t n, int power, float* mean) {
  static_assert(kSumLanes == kWarp && kSumLevels == 4, "a lane of the sum is a lane of a warp");
  __shared__ float groups[kMeanWarps][kWarp];
  __shared__ float lanes[kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t length = n / kSumLanes;
  const int64_t step = int64_t{1} << power;
  const int64_t num_full_groups = length >> (2 * power);
  float level2 = 0.0f;
  float level3 = 0.0f;
  for (int64_t first = 0; first < num_full_groups; first += kMeanWarps) {
    const float* rows = absmax + ((first + warp) << (2 * power)) * kSumLanes + lane;
    float level1 = 0.0f;
    if (first + warp < num_full_groups) {
      for (int64_t i = 0; i < step; ++i) {
        float level0 = 0.0f;
        for (int64_t j = 0; j < step; ++j) level0 += rows[(i * step + j) * kSumLanes];
        level1 += level0;
      }
    }
    groups[warp][lane] = level1;
    __syncthreads();
    for (int i = 0; warp == 0 && i < kMeanWarps && first + i < num_full_groups; ++i) {
      level2 += groups[i][lane];
      if (((first + i + 1) & (step - 1)) != 0) continue;
      level3 += level2;
      level2 = 0.0f;
    }
    __syncthreads();
  }
  if (warp == 0) {  // what is left over is less than a group
    float level0 = 0.0f;
    float level1 = 0.0f;
    int64_t row = num_full_groups << (2 * power);
    while (row + step <= length) {
      float sum = 0.0f;
      for (const int64_t end = row + step; row < end; ++row) sum += absmax[row * kSumLanes + lane];
      level1 += sum;
    }
    for (; row < length; ++row) level0 += absmax[row * kSumLanes + lane];
    lanes[lane] = level0 + level1 + level2 + level3;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  int64_t i = length * kSumLanes;
  for (; i + kSumVector <= n; i += kSumVector) {
    for (int k = 0; k < kSumVector; ++k) lanes[k] += absmax[i + k];
  }
  float sum = 0.0f;
  for (; i < n; ++i) sum += absmax[i];
  for (int k = 0; k < kSumVector; ++k) {
    for (int row = 1; row < kSumRows; ++row) lanes[k] += lanes[row * kSumVector + k];
    sum += lanes[k];
  }
  *mean = __fdiv_rn(sum, static_cast<float>(n));
}

// The code whose value is nearest to `scaled` snapped to the grid of nf4_tables.h.
__device__ inline uint8_t find_nested_code(const float* map, float scaled) {
  const float clamped = scaled > -1.0f ? (scaled < 1.0f ? scaled : 1.0f) : -1.0f;
  const float half = __fmul_rn(__fadd_rn(clamped, 1.0f), 0.5f);
  const int cell = static_cast<int>(__fadd_rn(__fmul_rn(half, kNestedGridSteps), 0.5f));
  const float snapped =
      __fadd_rn(-1.0f, __fdiv_rn(2.0f * static_cast<float>(cell), kNestedGridSteps));
  int code = 0;
#pragma unroll
  for (int step = 128; step > 0; step /= 2) {
    const int left = code + step - 1;
    if (__fmul_rn(0.5f, __fadd_rn(map[left], map[left + 1])) < snapped) code += step;
  }
  return static_cast<uint8_t>(code);
}

// One block of 256 scales per thread block: absmax - *offset -> codes, nested_absmax.
__global__ void __launch_bounds__(kNf4NestedBlock)
    nf4_quantize_absmax_kernel(const float* __restrict__ absmax, int64_t num_blocks,
                               const float* __restrict__ nested_map,
                               const float* __restrict__ offset, uint8_t* __restrict__ codes,
                               float* __restrict__ nested_absmax) {
  constexpr int kWarps = kNf4NestedBlock / kWarp;
  __shared__ float map[kNf4NestedBlock];
  __shared__ float warp_largest[kWarps];
  map[threadIdx.x] = nested_map[threadIdx.x];
  const int64_t block = int64_t{blockIdx.x} * kNf4NestedBlock + threadIdx.x;
  const float centred = block < num_blocks ? __fsub_rn(absmax[block], *offset) : 0.0f;
  float largest = fabsf(centred);
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, distance));
  }
  if (threadIdx.x % kWarp == 0) warp_largest[threadIdx.x / kWarp] = largest;
  __syncthreads();
  for (float other : warp_largest) largest = fmaxf(largest, other);
  if (threadIdx.x == 0) nested_absmax[blockIdx.x] = largest;
  if (block >= num_blocks) return;
  const float scaled = __fmul_rn(centred, __fdiv_rn(1.0f, largest));
  codes[block] = largest == 0.0f ? uint8_t{0} : find_nested_code(map, scaled);
}

unsigned num_blocks_for(int64_t count, int64_t per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

template <typename T>
void nf4_quantize(const T* x, int64_t n, uint8_t* codes, float* absmax, Stream stream) {
  if (n == 0) return;
  check_alignment(x, 16, "nf4_quantize: x");
  check_alignment(codes, 4, "nf4_quantize: codes");
  launch(nf4_quantize_kernel<T>, num_blocks_for(n, kThreads * kVector), kThreads, 0, stream, x, n,
         kNf4Tables, codes, absmax);
}

void nf4_quantize_absmax(const float* absmax, int64_t num_blocks, const float* nested_map,
                         uint8_t* absmax_codes, float* nested_absmax, float* nested_offset,
                         Stream stream) {
  if (num_blocks == 0) return;
  launch(nf4_mean_kernel, 1, kMeanWarps * kWarp, 0, stream, absmax, num_blocks,
         sum_level_power(num_blocks / kSumLanes), nested_offset);
  launch(nf4_quantize_absmax_kernel, num_blocks_for(num_blocks, kNf4NestedBlock), kNf4NestedBlock,
         0, stream, absmax, num_blocks, nested_map, nested_offset, absmax_codes, nested_absmax);
}

namespace {

template <typename T, typename Layout>
void launch_dequantize(const Nf4View& w, const Layout& layout, T* out, Stream stream) {
  check_alignment(w.codes, 4, "nf4_dequantize: codes");
  const unsigned grid =
      num_blocks_for(w.num_elements, int64_t{kThreads} * kPacketWidth<T> * kSteps);
  const auto kernel = w.absmax != nullptr ? nf4_dequantize_kernel<T, Scales::kPlain, Layout>
                                          : nf4_dequantize_kernel<T, Scales::kNested, Layout>;
  launch(kernel, grid, kThreads, 0, stream, w, kNf4Tables, layout, out);
}

}  // namespace

template <typename T>
void nf4_dequantize(const Nf4View& w, T* out, Stream stream) {
  if (w.num_elements == 0) return;
  check_alignment(out, 16, "nf4_dequantize: out");
  launch_dequantize(w, Dense(), out, stream);
}

template <typename T>
void nf4_dequantize(const Nf4View& w, const Nf4Rows& rows, T* out, Stream stream) {
  if (w.num_elements == 0) return;
  constexpr int64_t kWidth = kPacketWidth<T>;
  constexpr int64_t kMaxPackets = std::numeric_limits<int32_t>::max();
  if (rows.cols % kWidth == 0 && has_aligned_rows(out, rows.stride) &&
      std::max(w.num_elements, rows.cols) / kWidth < kMaxPackets) {
    const FastDivider packets_per_row(static_cast<uint32_t>(rows.cols / kWidth));
    launch_dequantize(w, PacketRows{packets_per_row, (rows.stride - rows.cols) / kWidth}, out,
                      stream);
  } else {
    launch_dequantize(w, AnyRows{rows}, out, stream);
  }
}

template void nf4_quantize(const float*, int64_t, uint8_t*, float*, Stream);
template void nf4_quantize(const bf16*, int64_t, uint8_t*, float*, Stream);
template void nf4_quantize(const fp16*, int64_t, uint8_t*, float*, Stream);
template void nf4_dequantize(const Nf4View&, float*, Stream);
template void nf4_dequantize(const Nf4View&, const Nf4Rows&, float*, Stream);
template void nf4_dequantize(const Nf4View&, bf16*, Stream);
template void nf4_dequantize(const Nf4View&, const Nf4Rows&, bf16*, Stream);
template void nf4_dequantize(const Nf4View&, fp16*, Stream);
template void nf4_dequantize(const Nf4View&, const Nf4Rows&, fp16*, Stream);

}  // namespace rung::kernels::cuda
