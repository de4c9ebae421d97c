// Elements in registers, for device code: widening, rounding, and accesses of up to 16 bytes.
#pragma once

#include <type_traits>

#include "kernels/dtype.h"
#include "kernels/launch.h"

namespace rung::kernels::cuda {

__device__ inline float widen(float value) { return value; }
__device__ inline float widen(bf16 value) { return __uint_as_float(uint32_t{value.bits} << 16); }
__device__ inline float widen(fp16 value) { return __half2float(__ushort_as_half(value.bits)); }

// Rounds to nearest, ties to even.
template <typename T>
__device__ inline T narrow(float value);
template <>
__device__ inline float narrow<float>(float value) {
  return value;
}
template <>
__device__ inline bf16 narrow<bf16>(float value) {
  return {__bfloat16_as_ushort(__float2bfloat16_rn(value))};
}
template <>
__device__ inline fp16 narrow<fp16>(float value) {
  return {__half_as_ushort(__float2half_rn(value))};
}

// `value` rounded to T, as a float.
//
// A bf16 that is widened again is rounded as one of a pair, by F2FP: of a single conversion ptxas
// makes F2F there, which runs at a quarter of the rate.
template <typename T>
__device__ inline float rounded(float value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return __low2float(__floats2bfloat162_rn(value, 0.0f));
  } else {
    return widen(narrow<T>(value));
  }
}

// Elements in 16 bytes, the widest access.
template <typename T>
inline constexpr int kPacketWidth = 16 / static_cast<int>(sizeof(T));

constexpr int packet_alignment(int bytes) { return bytes < 16 ? bytes : 16; }

// kWidth consecutive elements as they lie in memory. The alignment makes copies of a packet single
// accesses of up to 16 bytes. kWidth is 1 where rows are not aligned.
template <typename T, int kWidth>
struct __align__(packet_alignment(kWidth* static_cast<int>(sizeof(T)))) Packet {
  T values[kWidth];
};

template <int kWidth, typename T>
__device__ inline Packet<T, kWidth> load_packet(const T* x) {
  return *reinterpret_cast<const Packet<T, kWidth>*>(x);
}

template <typename T, int kWidth>
__device__ inline void store_packet(T* x, const Packet<T, kWidth>& packet) {
  *reinterpret_cast<Packet<T, kWidth>*>(x) = packet;
}

// Whether rows that lie `stride` elements apart from x on can be accessed in packets of 16 bytes.
template <typename T>
bool has_aligned_rows(const T* x, int64_t stride) {
  return reinterpret_cast<uintptr_t>(x) % 16 == 0 && stride % kPacketWidth<T> == 0;
}

}  // namespace rung::kernels::cuda
