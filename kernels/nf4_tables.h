// Constants of NF4 and of the 8-bit map of double quantisation, shared by the CPU and CUDA paths.
//
// The 16 values are quantiles of a normal distribution scaled to [-1, 1], with an exact zero
// (QLoRA, https://arxiv.org/abs/2305.14314, appendix E). The files of bitsandbytes carry the same
// floats. No functions on tensors here.
#pragma once

#include <cstdint>

namespace rung::kernels {

// Passed to CUDA kernels by value, so that the unrolled comparisons read the constant bank.
struct Nf4Tables {
  float values[16] = {-1.0f,
                      -0.6961928009986877f,
                      -0.5250730514526367f,
                      -0.39491748809814453f,
                      -0.28444138169288635f,
                      -0.18477343022823334f,
                      -0.09105003625154495f,
                      0.0f,
                      0.07958029955625534f,
                      0.16093020141124725f,
                      0.24611230194568634f,
                      0.33791524171829224f,
                      0.44070982933044434f,
                      0.5626170039176941f,
                      0.7229568362236023f,
                      1.0f};
  // Code k + 1 wins over k above thresholds[k]; a tie goes to k. Midpoints, rounded to float.
  float thresholds[15] = {};

  constexpr Nf4Tables() {
    for (int k = 0; k < 15; ++k) thresholds[k] = (values[k] + values[k + 1]) / 2.0f;
  }
};

inline constexpr Nf4Tables kNf4Tables;
// Code of exactly 0, which fills the low nibble after an odd tensor's last element.
inline constexpr uint8_t kNf4ZeroCode = 7;

// Scales are clamped to this before they divide, so that an all-zero block gives zeros, not NaN.
inline constexpr float kNf4MinAbsmax = 1e-38f;

// Double quantisation first snaps a scale in [-1, 1] to one of this many evenly spaced values.
inline constexpr int kNestedGridSteps = 65535;

// Layout of the sum behind the mean of the scales: kSumLanes running sums, each folded upwards
// through kSumLevels levels after every 2^power additions. It is the order of ATen's
// single-threaded 8-wide float sum, and so the mean that bitsandbytes' CPU backend takes.
inline constexpr int kSumVector = 8;
inline constexpr int kSumRows = 4;
inline constexpr int kSumLanes = kSumVector * kSumRows;
inline constexpr int kSumLevels = 4;

// Additions per level, as a power of two, for lanes of `length` elements.
constexpr int sum_level_power(int64_t length) {
  int ceil_log2 = 0;
  while ((int64_t{1} << ceil_log2) < length) ++ceil_log2;
  const int power = ceil_log2 / kSumLevels;
  return power < 4 ? 4 : power;
}

}  // namespace rung::kernels
