// Comparison of computed values with expected ones, and the tolerances by dtype.
//
// A value passes where |got - expected| <= absolute + relative * |expected|; NaN passes only where
// NaN is expected. A failure names the worst element and counts those outside.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "kernels/dtype.h"

namespace rung::testing {

struct Tolerance {
  double relative = 0.0;
  double absolute = 0.0;
};

// For operators that only move bytes or whose every rounding is prescribed.
inline constexpr Tolerance kExact = {};

template <typename T>
struct Tolerances;

// A few float roundings (2^-24 each) of values of order one.
template <>
struct Tolerances<float> {
  static constexpr Tolerance kElementwise = {.relative = 2e-6, .absolute = 1e-6};
  // Sums of up to some thousand terms of order one, in any order.
  static constexpr Tolerance kSum = {.relative = 1e-5, .absolute = 1e-5};
};

// A rounding to 8 significant bits is off by up to 2^-8 of the value; float errors come on top.
template <>
struct Tolerances<kernels::bf16> {
  // Two roundings.
  static constexpr Tolerance kElementwise = {.relative = 0x1p-7 * 1.01, .absolute = 1e-6};
  // One rounding of a float sum.
  static constexpr Tolerance kSum = {.relative = 0x1p-8 * 1.01, .absolute = 1e-5};
};

// A rounding to 11 significant bits is off by up to 2^-11 of the value, by up to 2^-25 below 2^-14.
template <>
struct Tolerances<kernels::fp16> {
  // Two roundings.
  static constexpr Tolerance kElementwise = {.relative = 0x1p-10 * 1.01, .absolute = 1e-6};
  // One rounding of a float sum.
  static constexpr Tolerance kSum = {.relative = 0x1p-11 * 1.01, .absolute = 1e-5};
};

inline double as_double(double value) { return value; }
inline double as_double(float value) { return value; }
inline double as_double(kernels::bf16 value) { return kernels::to_float(value); }
inline double as_double(kernels::fp16 value) { return kernels::to_float(value); }

// How far outside: 1 is the limit. 0 for two equal infinities or two NaN.
inline double excess(double got, double expected, const Tolerance& tolerance) {
  if (got == expected || (std::isnan(got) && std::isnan(expected))) return 0.0;
  const double allowed = tolerance.absolute + tolerance.relative * std::abs(expected);
  const double error = std::abs(got - expected);
  if (std::isnan(error) || std::isinf(error)) return HUGE_VAL;
  return allowed == 0.0 ? HUGE_VAL : error / allowed;
}

template <typename Got, typename Expected>
::testing::AssertionResult close(const std::vector<Got>& got, const std::vector<Expected>& expected,
                                 const Tolerance& tolerance) {
  if (got.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << got.size() << " values, expected " << expected.size() << " of them";
  }
  size_t worst = 0;
  int64_t num_outside = 0;
  double worst_excess = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double by = excess(as_double(got[i]), as_double(expected[i]), tolerance);
    num_outside += by > 1.0;
    if (by > worst_excess) {
      worst_excess = by;
      worst = i;
    }
  }
  if (num_outside == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << num_outside << " of " << got.size() << " outside tolerance; worst at " << worst
         << ": got " << as_double(got[worst]) << ", expected " << as_double(expected[worst])
         << ", tolerance " << tolerance.absolute << " + " << tolerance.relative << " * |expected|, "
         << worst_excess << " times exceeded";
}

}  // namespace rung::testing
