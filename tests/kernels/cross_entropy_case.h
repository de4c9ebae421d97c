// What the cross-entropy tests of both devices share: a batch of rows, its reference, tolerances.
#pragma once

#include <algorithm>
#include <vector>

#include "tests/reference/cross_entropy.h"
#include "tests/support/kernel_inputs.h"

namespace rung::testing {

// Gradients are softmax values down to e^-30: relative accuracy counts, not the absolute one.
// The argument of exp has an error of 2^-24 * 30.
template <typename T>
inline constexpr Tolerance kGradientTolerance = {.relative = 5e-6, .absolute = 1e-12};
template <>
inline constexpr Tolerance kGradientTolerance<kernels::bf16> = {.relative = 0x1p-8 * 1.01,
                                                                .absolute = 1e-12};
// Below 2^-14 values of fp16 are 2^-24 apart.
template <>
inline constexpr Tolerance kGradientTolerance<kernels::fp16> = {.relative = 0x1p-11 * 1.01,
                                                                .absolute = 0x1p-25 * 1.01};

template <typename T>
struct CrossEntropyCase {
  int64_t rows;
  int64_t vocab;
  int64_t stride;
  std::vector<T> logits;  // [rows, stride]
  std::vector<int32_t> targets;
};

// Every fifth row, from the fourth one on, is to be ignored; its logits are NaN.
template <typename T>
CrossEntropyCase<T> cross_entropy_case(int64_t rows, int64_t vocab, int64_t stride) {
  CrossEntropyCase<T> result = {rows, vocab, stride, random_values<T>(rows * stride, 1, 4.0), {}};
  for (int64_t row = 0; row < rows; ++row) {
    const bool is_ignored = row % 5 == 3;
    result.targets.push_back(is_ignored ? -100 : static_cast<int32_t>(row * 997 % vocab));
    if (!is_ignored) continue;
    const auto begin = result.logits.begin() + row * stride;
    std::fill(begin, begin + vocab, kernels::from_float<T>(std::nanf("")));
  }
  return result;
}

struct CrossEntropyExpectation {
  std::vector<double> losses;    // [rows]
  std::vector<double> gradient;  // [rows, stride], between rows the logits' own values
};

template <typename T>
CrossEntropyExpectation expected_of(const CrossEntropyCase<T>& batch, double grad_scale) {
  CrossEntropyExpectation result = {{}, widen(batch.logits)};
  for (int64_t row = 0; row < batch.rows; ++row) {
    const auto begin = result.gradient.begin() + row * batch.stride;
    const int32_t target = batch.targets[static_cast<size_t>(row)];
    if (target < 0) {
      result.losses.push_back(0.0);
      std::fill(begin, begin + batch.vocab, 0.0);
      continue;
    }
    const auto expected = reference::cross_entropy({begin, begin + batch.vocab},
                                                   static_cast<size_t>(target), grad_scale);
    result.losses.push_back(expected.loss);
    std::copy(expected.gradient.begin(), expected.gradient.end(), begin);
  }
  return result;
}

}  // namespace rung::testing
