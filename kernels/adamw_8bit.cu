// AdamW with 8-bit moments on CUDA; the contract is adamw_8bit.h, the bits are those of
// adamw_8bit.cpp.
//
// A warp owns a block of 256 elements: a lane has two vectors of 4, and shuffles find the largest
// magnitudes. 16 bytes an element are moved; the arithmetic, some 100 instructions an element,
// costs about as long on an H100. Products and sums use the _rn intrinsics, which are never fused.
#include "kernels/adamw_8bit.h"
#include "kernels/adamw_8bit_tables.h"
#include "kernels/adamw_update_device.h"
#include "kernels/launch.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kBlocksPerWarp = 4;  // one after another: the tables are copied once
constexpr int kVector = 4;
constexpr int kVectors = kAdamW8bitBlock / (kWarp * kVector);  // of a lane
constexpr int kElements = kVectors * kVector;                  // of a lane
constexpr unsigned kAllLanes = 0xffffffffu;

struct State {
  float* param;
  const float* grad;
  uint8_t* m_codes;
  float* m_absmax;
  uint8_t* v_codes;
  float* v_absmax;
  int64_t n;
};

struct Moment {
  float map[256];
  DynamicCoder coder;
};

struct Tables {
  Moment m;
  Moment v;
};

struct SharedMoment {
  float map[256];
  float4 rows[kDynamicRows];  // edge, scale, offset, last
};

// What a lane owns of a block. Elements past the end are 0 and change nothing.
struct Lane {
  float param[kElements];
  float grad[kElements];
  uint32_t m_codes[kVectors];  // 4 in each
  uint32_t v_codes[kVectors];
};

__device__ inline void copy_moment(const Moment& from, SharedMoment& to) {
  static_assert(kThreads == 256, "each thread copies one entry of the map");
  to.map[threadIdx.x] = from.map[threadIdx.x];
  if (threadIdx.x < kDynamicRows) {
    const DynamicRow& row = from.coder.rows[threadIdx.x];
    to.rows[threadIdx.x] = make_float4(row.edge, row.scale, row.offset, row.last);
  }
}

__device__ inline int element_of(int vector) {
  return (vector * kWarp + static_cast<int>(threadIdx.x) % kWarp) * kVector;
}

__device__ inline void load_full(const State& state, int64_t first, Lane& lane) {
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    const int64_t i = first + element_of(j);
    const float4 param = *reinterpret_cast<const float4*>(state.param + i);
    const float4 grad = *reinterpret_cast<const float4*>(state.grad + i);
    lane.m_codes[j] = *reinterpret_cast<const uint32_t*>(state.m_codes + i);
    lane.v_codes[j] = *reinterpret_cast<const uint32_t*>(state.v_codes + i);
    float* params = lane.param + j * kVector;
    float* grads = lane.grad + j * kVector;
    params[0] = param.x, params[1] = param.y, params[2] = param.z, params[3] = param.w;
    grads[0] = grad.x, grads[1] = grad.y, grads[2] = grad.z, grads[3] = grad.w;
  }
}

__device__ inline void load_tail(const State& state, int64_t first, Lane& lane) {
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    lane.m_codes[j] = kAdamW8bitZeroM * 0x01010101u;
    lane.v_codes[j] = kAdamW8bitZeroV * 0x01010101u;
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      const int64_t i = first + element_of(j) + k;
      const bool is_inside = i < state.n;
      lane.param[j * kVector + k] = is_inside ? state.param[i] : 0.0f;
      lane.grad[j * kVector + k] = is_inside ? state.grad[i] : 0.0f;
      if (!is_inside) continue;
      const uint32_t others = ~(0xffu << (8 * k));
      lane.m_codes[j] = (lane.m_codes[j] & others) | uint32_t{state.m_codes[i]} << (8 * k);
      lane.v_codes[j] = (lane.v_codes[j] & others) | uint32_t{state.v_codes[i]} << (8 * k);
    }
  }
}

__device__ inline void store_full(const State& state, int64_t first, const Lane& lane) {
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    const int64_t i = first + element_of(j);
    const float* params = lane.param + j * kVector;
    *reinterpret_cast<float4*>(state.param + i) =
        make_float4(params[0], params[1], params[2], params[3]);
    *reinterpret_cast<uint32_t*>(state.m_codes + i) = lane.m_codes[j];
    *reinterpret_cast<uint32_t*>(state.v_codes + i) = lane.v_codes[j];
  }
}

__device__ inline void store_tail(const State& state, int64_t first, const Lane& lane) {
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      const int64_t i = first + element_of(j) + k;
      if (i >= state.n) continue;
      state.param[i] = lane.param[j * kVector + k];
      state.m_codes[i] = static_cast<uint8_t>(lane.m_codes[j] >> (8 * k));
      state.v_codes[i] = static_cast<uint8_t>(lane.v_codes[j] >> (8 * k));
    }
  }
}

// The largest magnitude of all lanes, in all of them. Compares bits, so that NaN wins.
__device__ inline float largest_of(const float (&values)[kElements]) {
  uint32_t largest = 0;
#pragma unroll
  for (float value : values) {
    const uint32_t magnitude = __float_as_uint(value) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const uint32_t other = __shfl_xor_sync(kAllLanes, largest, distance);
    largest = other > largest ? other : largest;
  }
  return __uint_as_float(largest);
}

// cpu::dynamic_index: the number of edges that x reaches tells the row. Edges are taken from the
// kernel's parameters, where all lanes read the same one.
__device__ inline int dynamic_index(float x, const DynamicCoder& coder, const float4* rows) {
  int number = 0;
#pragma unroll
  for (int i = 1; i < kDynamicRows; ++i) number += x >= coder.rows[i].edge;
  const float4 row = rows[number];
  const float index = __fadd_rn(__fmul_rn(x, row.y), row.z);
  return static_cast<int>(index < row.w ? index : row.w);
}

// Quantises a lane's values of a moment; lane 0 sets the block's absmax.
template <MapSign sign>
__device__ inline void quantize(const float (&values)[kElements], const DynamicCoder& coder,
                                const float4* rows, uint32_t (&codes)[kVectors], float* absmax) {
  const float largest = largest_of(values);
  const float divisor = largest < kAdamW8bitMinAbsmax ? kAdamW8bitMinAbsmax : largest;
  const float factor = __fdiv_rn(1.0f, divisor);
  if (threadIdx.x % kWarp == 0) *absmax = largest == 0.0f ? kAdamW8bitZeroAbsmax : divisor;
#pragma unroll
  for (int j = 0; j < kVectors; ++j) {
    codes[j] = 0;
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      const float value = values[j * kVector + k];
      const int index = dynamic_index(__fmul_rn(fabsf(value), factor), coder, rows);
      int code = 0;
      if constexpr (sign == MapSign::kSigned) {
        const int below = kAdamW8bitZeroM - (index < kAdamW8bitZeroM ? index : kAdamW8bitZeroM);
        code = value < 0.0f ? below : kAdamW8bitZeroM + index;
      } else {
        code = index == 0 && value > 0.0f ? 1 : index;
      }
      codes[j] |= static_cast<uint32_t>(code) << (8 * k);
    }
  }
}

__device__ inline void dequantize(const uint32_t (&codes)[kVectors], const float* map, float absmax,
                                  float (&values)[kElements]) {
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    values[i] = __fmul_rn(map[codes[i / kVector] >> (8 * (i % kVector)) & 0xffu], absmax);
  }
}

__global__ void __launch_bounds__(kThreads)
    adamw_8bit_kernel(State state, AdamWFactors factors, const __grid_constant__ Tables tables) {
  __shared__ SharedMoment shared_m;
  __shared__ SharedMoment shared_v;
  copy_moment(tables.m, shared_m);
  copy_moment(tables.v, shared_v);
  __syncthreads();

  for (int round = 0; round < kBlocksPerWarp; ++round) {
    const int64_t block =
        (int64_t{blockIdx.x} * kBlocksPerWarp + round) * kWarps + threadIdx.x / kWarp;
    const int64_t first = block * kAdamW8bitBlock;
    if (first >= state.n) return;
    const bool is_full = first + kAdamW8bitBlock <= state.n;
    Lane lane;
    if (is_full) {
      load_full(state, first, lane);
    } else {
      load_tail(state, first, lane);
    }
    float m[kElements];
    float v[kElements];
    dequantize(lane.m_codes, shared_m.map, state.m_absmax[block], m);
    dequantize(lane.v_codes, shared_v.map, state.v_absmax[block], v);
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      adamw_update(lane.param[i], lane.grad[i], m[i], v[i], factors);
    }
    quantize<MapSign::kSigned>(m, tables.m.coder, shared_m.rows, lane.m_codes,
                               state.m_absmax + block);
    quantize<MapSign::kUnsigned>(v, tables.v.coder, shared_v.rows, lane.v_codes,
                                 state.v_absmax + block);
    if (is_full) {
      store_full(state, first, lane);
    } else {
      store_tail(state, first, lane);
    }
  }
}

Moment make_moment(MapSign sign, const DynamicCoder& coder) {
  Moment moment = {.map = {}, .coder = coder};
  const float* map = dynamic_map(sign);
  for (int i = 0; i < 256; ++i) moment.map[i] = map[i];
  return moment;
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

void adamw_8bit(float* param, const float* grad, uint8_t* m_codes, float* m_absmax,
                uint8_t* v_codes, float* v_absmax, int64_t n, const AdamWParams& params,
                Stream stream) {
  if (n == 0) return;
  check_alignment(param, 16, "adamw_8bit: param");
  check_alignment(grad, 16, "adamw_8bit: grad");
  check_alignment(m_codes, 4, "adamw_8bit: m_codes");
  check_alignment(v_codes, 4, "adamw_8bit: v_codes");
  constexpr int64_t kPerBlock = kAdamW8bitBlock * kBlocksPerWarp * kWarps;
  const State state = {param, grad, m_codes, m_absmax, v_codes, v_absmax, n};
  const Tables tables = {make_moment(MapSign::kSigned, kMCoder),
                         make_moment(MapSign::kUnsigned, kVCoder)};
  launch(adamw_8bit_kernel, static_cast<unsigned>((n + kPerBlock - 1) / kPerBlock), kThreads, 0,
         stream, state, adamw_factors(params), tables);
}

}  // namespace rung::kernels::cuda
