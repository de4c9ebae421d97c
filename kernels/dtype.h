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

// IEEE binary16 as stored. Layout-compatible with at::Half and __half.
struct fp16 {
  uint16_t bits;
};

inline float to_float(fp16 value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  const uint32_t rebias = magnitude >= 0x7c00u ? 0x70000000u : 0x38000000u;
  const uint32_t normal = (magnitude << 13) + rebias;
  const uint32_t subnormal = std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  return std::bit_cast<float>(sign | (magnitude < 0x400u ? subnormal : normal));
}

// Round to nearest, ties to even; past 65504 to infinity; NaN stays NaN (quiet). Branchless.
inline fp16 to_fp16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Below 2^-14: in 0.5 + x the last mantissa bit is worth 2^-24, as in a binary16 subnormal.
  const uint32_t subnormal =
      std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t special =
      magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x1ffu) : 0x7c00u;
  const uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;
  const uint32_t rounded = magnitude >= 0x47800000u ? special : finite;
  return {static_cast<uint16_t>((bits >> 16 & 0x8000u) | rounded)};
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
template <>
inline fp16 from_float<fp16>(float value) {
  return to_fp16(value);
}

// Work of CUDA launchers is queued here; `handle` is a cudaStream_t. Opaque so that callers need no
// CUDA header.
struct Stream {
  void* handle = nullptr;
};

}  // namespace rung::kernels
