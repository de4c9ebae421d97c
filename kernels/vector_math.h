// Scalar functions that compilers turn into vector code: no branches, no calls, no tables.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/simd.h"

namespace rung::kernels::cpu {

// e^x within 1.3 units in the last place. 0 below -86.6 (where results are near 2^-125), infinity
// above 88.72, NaN for NaN.
//
// x = n ln2 + r, e^x = 2^n e^r. e^r is 1 + r + r^2 P(r), P the minimax polynomial of degree 4 for
// the relative error on [-ln2/2, ln2/2] (3e-9). All coefficients are doubled and 2^(n-1) is used,
// so that the largest finite results need no 2^128.
RUNG_INLINE float fast_exp(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // few bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float high = x > 89.0f ? 89.0f : x;
  const float clamped = high < -86.6f ? -86.6f : high;
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 2.0f * 0.0013814467f;
  p = p * r + 2.0f * 0.0083687808f;
  p = p * r + 2.0f * 0.041668393f;
  p = p * r + 2.0f * 0.1666652f;
  p = p * r + 2.0f * 0.49999994f;
  p = p * (r * r) + (2.0f * r + 2.0f);
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 126u) << 23;
  const float result = p * std::bit_cast<float>(exponent);
  return x < -86.6f ? 0.0f : result;
}

// 1 / (1 + e^-x)
RUNG_INLINE float fast_sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

}  // namespace rung::kernels::cpu
