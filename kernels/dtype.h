// Element types of kernel operands. All arithmetic inside kernels is float; these types only say
// how values are stored.
#pragma once

#include <bit>
#include <cstdint>

namespace rung::kernels {

// bfloat16 as stored: the upper half of an IEEE float. Layout-compatible with at::BFloat16 and
// __nv_bfloat16.
struct bf16 {
  uint16_t bits;
};

inline float to_float(float value) { return value; }
inline float to_float(bf16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

// Round to nearest, ties to even; NaN stays NaN (quiet). Written without branches so that loops
// over it vectorise.
inline bf16 to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded)};
}

template <typename T>
inline T from_float(float value);
template <>
inline float from_float<float>(float value) {
  return value;
}
template <>
inline bf16 from_float<bf16>(float value) {
  return to_bf16(value);
}

// Work of CUDA launchers is queued here; `handle` is a cudaStream_t. Opaque so that callers need no
// CUDA header.
struct Stream {
  void* handle = nullptr;
};

}  // namespace rung::kernels
