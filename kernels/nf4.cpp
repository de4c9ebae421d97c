// NF4 on the CPU: splits tensors over threads, handles the short last block and both levels of
// double quantisation. The block loops are in nf4_blocks.cpp and nf4_avx2.cpp.
//
// The results do not depend on the number of threads or on the processor: blocks are independent,
// and the mean of the scales has one fixed summation order.
#include "kernels/nf4.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/dynamic_map.h"
#include "kernels/nf4_blocks.h"
#include "kernels/nf4_tables.h"
#include "kernels/parallel.h"

namespace rung::kernels::cpu {

namespace {

// Work is dealt out in pieces of 16,384 elements: one second-level block of scales.
constexpr int64_t kChunk = kNf4Block * kNf4NestedBlock;

uint8_t find_code(float scaled) {
  int code = 0;
  for (float threshold : kNf4Tables.thresholds) code += !(scaled <= threshold);
  return static_cast<uint8_t>(code);
}

// The last, short block. Unlike full blocks it divides, and stores the clamped absmax: so does
// bitsandbytes' CPU backend.
template <typename T>
void quantize_tail(const T* x, int64_t count, uint8_t* codes, float* absmax) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<uint32_t>(to_float(x[i])) & 0x7fffffffu);
  }
  const float magnitude = std::bit_cast<float>(largest);
  const float divisor = magnitude < kNf4MinAbsmax ? kNf4MinAbsmax : magnitude;
  for (int64_t i = 0; i < count; i += 2) {
    const uint8_t high = find_code(to_float(x[i]) / divisor);
    const uint8_t low = i + 1 < count ? find_code(to_float(x[i + 1]) / divisor) : kNf4ZeroCode;
    codes[i / 2] = static_cast<uint8_t>(high << 4 | low);
  }
  *absmax = divisor;
}

template <typename T>
void dequantize_tail(const uint8_t* codes, float absmax, int64_t count, T* out) {
  for (int64_t i = 0; i < count; ++i) {
    const int code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
    out[i] = from_float<T>(kNf4Tables.values[code] * absmax);
  }
}

// Fills scales [count] with the scales of blocks [first, first + count), which lie in one
// second-level block.
void expand_scales(const Nf4View& w, int64_t first, int64_t count, float* scales) {
  const float nested_absmax = w.nested_absmax[first / kNf4NestedBlock];
  for (int64_t i = 0; i < count; ++i) {
    // Two roundings, as bitsandbytes does it. The baseline x86-64 target cannot fuse them.
    scales[i] = w.nested_map[w.absmax_codes[first + i]] * nested_absmax + w.nested_offset;
  }
}

// Calls body(first, count, scales) for all blocks, count <= 256 of them at a time, on several
// threads. `scales` are those of blocks [first, first + count).
template <typename Body>
void for_each_chunk(const Nf4View& w, const Body& body) {
  const int64_t num_blocks = ceil_div(w.num_elements, kNf4Block);
#pragma omp parallel for schedule(static) if (w.num_elements > kChunk)
  for (int64_t first = 0; first < num_blocks; first += kNf4NestedBlock) {
    const int64_t count = std::min(kNf4NestedBlock, num_blocks - first);
    float expanded[kNf4NestedBlock];
    if (w.absmax == nullptr) expand_scales(w, first, count, expanded);
    body(first, count, w.absmax == nullptr ? expanded : w.absmax + first);
  }
}

// Blocks [first, first + count) of w, the last of which may be short -> out.
template <typename T>
void dequantize_blocks(const Nf4View& w, int64_t first, int64_t count, const float* scales,
                       T* out) {
  const auto blocks =
      has_avx2() ? avx2::nf4_dequantize_blocks<T> : portable::nf4_dequantize_blocks<T>;
  const int64_t num_full = std::min(count, w.num_elements / kNf4Block - first);
  const uint8_t* codes = w.codes + first * (kNf4Block / 2);
  blocks(codes, scales, num_full, out);
  if (num_full < count) {
    dequantize_tail(codes + num_full * (kNf4Block / 2), scales[num_full],
                    w.num_elements % kNf4Block, out + num_full * kNf4Block);
  }
}

// Where rows are whole blocks: the blocks of one row at a time, in place.
template <typename T>
void dequantize_rows_of_blocks(const Nf4View& w, const Nf4Rows& rows, int64_t first, int64_t count,
                               const float* scales, T* out) {
  const int64_t blocks_per_row = rows.cols / kNf4Block;
  for (int64_t done = 0; done < count;) {
    const int64_t row = (first + done) / blocks_per_row;
    const int64_t col = (first + done) % blocks_per_row;
    const int64_t run = std::min(count - done, blocks_per_row - col);
    dequantize_blocks(w, first + done, run, scales + done,
                      out + row * rows.stride + col * kNf4Block);
    done += run;
  }
}

// Where blocks straddle rows: a block at a time, cut up afterwards.
template <typename T>
void dequantize_any_rows(const Nf4View& w, const Nf4Rows& rows, int64_t first, int64_t count,
                         const float* scales, T* out) {
  for (int64_t i = 0; i < count; ++i) {
    T block[kNf4Block];
    dequantize_blocks(w, first + i, 1, scales + i, block);
    const int64_t begin = (first + i) * kNf4Block;
    const int64_t end = std::min(begin + kNf4Block, w.num_elements);
    for (int64_t at = begin; at < end;) {
      const int64_t col = at % rows.cols;
      const int64_t run = std::min(end - at, rows.cols - col);
      std::copy_n(block + (at - begin), run, out + at / rows.cols * rows.stride + col);
      at += run;
    }
  }
}

struct SumLane {
  float level[kSumLevels] = {};
};

// One lane's cascade: after every 2^power additions a level is folded into the next one.
float sum_lane(const float* x, int64_t length, int power) {
  SumLane sum;
  const int64_t step = int64_t{1} << power;
  int64_t i = 0;
  while (i + step <= length) {
    for (const int64_t end = i + step; i < end; ++i) sum.level[0] += x[i * kSumLanes];
    for (int level = 1; level < kSumLevels; ++level) {
      sum.level[level] += sum.level[level - 1];
      sum.level[level - 1] = 0.0f;
      if ((i & ((step - 1) << (level * power))) != 0) break;
    }
  }
  for (; i < length; ++i) sum.level[0] += x[i * kSumLanes];
  for (int level = 1; level < kSumLevels; ++level) sum.level[0] += sum.level[level];
  return sum.level[0];
}

// x [n] -> sum, in the order that nf4_tables.h describes.
float cascade_sum(const float* x, int64_t n) {
  const int64_t length = n / kSumLanes;
  const int power = sum_level_power(length);
  std::array<float, kSumLanes> lanes;
  for (int lane = 0; lane < kSumLanes; ++lane) lanes[lane] = sum_lane(x + lane, length, power);
  int64_t i = length * kSumLanes;
  for (; i + kSumVector <= n; i += kSumVector) {
    for (int k = 0; k < kSumVector; ++k) lanes[k] += x[i + k];
  }
  float sum = 0.0f;
  for (; i < n; ++i) sum += x[i];
  for (int k = 0; k < kSumVector; ++k) {
    for (int row = 1; row < kSumRows; ++row) lanes[k] += lanes[row * kSumVector + k];
    sum += lanes[k];
  }
  return sum;
}

// The code whose value is nearest to `scaled` snapped to the grid of 65,536 values in [-1, 1].
uint8_t find_nested_code(float scaled) {
  // NaN, which scales of infinity lead to, goes to -1.
  const float clamped = scaled > -1.0f ? std::min(scaled, 1.0f) : -1.0f;
  const float half = (clamped + 1.0f) * 0.5f;
  const int cell = static_cast<int>(half * kNestedGridSteps + 0.5f);
  const float snapped = -1.0f + (2.0f * static_cast<float>(cell)) / kNestedGridSteps;
  const float* map = nf4_nested_map();
  int code = 0;
  for (int step = 128; step > 0; step /= 2) {
    const int left = code + step - 1;
    if (0.5f * (map[left] + map[left + 1]) < snapped) code += step;
  }
  return static_cast<uint8_t>(code);
}

}  // namespace

template <typename T>
void nf4_quantize(const T* x, int64_t n, uint8_t* codes, float* absmax) {
  const auto blocks = has_avx2() ? avx2::nf4_quantize_blocks<T> : portable::nf4_quantize_blocks<T>;
  const int64_t num_blocks = n / kNf4Block;
#pragma omp parallel for schedule(static) if (n > kChunk)
  for (int64_t first = 0; first < num_blocks; first += kNf4NestedBlock) {
    blocks(x + first * kNf4Block, std::min(kNf4NestedBlock, num_blocks - first),
           codes + first * (kNf4Block / 2), absmax + first);
  }
  const int64_t done = num_blocks * kNf4Block;
  if (done < n) quantize_tail(x + done, n - done, codes + done / 2, absmax + num_blocks);
}

void nf4_quantize_absmax(const float* absmax, int64_t num_blocks, uint8_t* absmax_codes,
                         float* nested_absmax, float* nested_offset) {
  const float offset = cascade_sum(absmax, num_blocks) / static_cast<float>(num_blocks);
  *nested_offset = offset;
#pragma omp parallel for schedule(static) if (num_blocks > kChunk)
  for (int64_t first = 0; first < num_blocks; first += kNf4NestedBlock) {
    const int64_t last = std::min(first + kNf4NestedBlock, num_blocks);
    float largest = 0.0f;
    for (int64_t i = first; i < last; ++i) {
      largest = std::max(largest, std::fabs(absmax[i] - offset));
    }
    nested_absmax[first / kNf4NestedBlock] = largest;
    const float reciprocal = 1.0f / largest;
    for (int64_t i = first; i < last; ++i) {
      // All scales equal: bitsandbytes writes code 0, and any code stands for the offset.
      absmax_codes[i] = largest == 0.0f ? 0 : find_nested_code((absmax[i] - offset) * reciprocal);
    }
  }
}

template <typename T>
void nf4_dequantize(const Nf4View& w, T* out) {
  for_each_chunk(w, [&](int64_t first, int64_t count, const float* scales) {
    dequantize_blocks(w, first, count, scales, out + first * kNf4Block);
  });
}

template <typename T>
void nf4_dequantize(const Nf4View& w, const Nf4Rows& rows, T* out) {
  for_each_chunk(w, [&](int64_t first, int64_t count, const float* scales) {
    if (rows.cols % kNf4Block == 0) {
      dequantize_rows_of_blocks(w, rows, first, count, scales, out);
    } else {
      dequantize_any_rows(w, rows, first, count, scales, out);
    }
  });
}

const float* nf4_nested_map() { return dynamic_map(MapSign::kSigned); }

template void nf4_quantize(const float*, int64_t, uint8_t*, float*);
template void nf4_quantize(const bf16*, int64_t, uint8_t*, float*);
template void nf4_quantize(const fp16*, int64_t, uint8_t*, float*);
template void nf4_dequantize(const Nf4View&, float*);
template void nf4_dequantize(const Nf4View&, const Nf4Rows&, float*);
template void nf4_dequantize(const Nf4View&, bf16*);
template void nf4_dequantize(const Nf4View&, const Nf4Rows&, bf16*);
template void nf4_dequantize(const Nf4View&, fp16*);
template void nf4_dequantize(const Nf4View&, const Nf4Rows&, fp16*);

}  // namespace rung::kernels::cpu
