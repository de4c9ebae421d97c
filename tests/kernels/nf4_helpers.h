// What the NF4 tests of both devices share: owned quantised tensors, inputs, exact comparison.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/nf4.h"

namespace rung::test {

struct Nf4Codes {
  std::vector<uint8_t> codes;
  std::vector<float> absmax;
};

// Double quantisation of Nf4Codes::absmax.
struct Nf4NestedScales {
  std::vector<uint8_t> codes;
  std::vector<float> absmax;
  float offset = 0.0f;
};

inline size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

inline Nf4Codes nf4_buffers(size_t n) {
  return {std::vector<uint8_t>(ceil_div(n, 2)), std::vector<float>(ceil_div(n, 64))};
}

inline Nf4NestedScales nested_buffers(size_t num_blocks) {
  return {std::vector<uint8_t>(num_blocks), std::vector<float>(ceil_div(num_blocks, 256)), 0.0f};
}

template <typename T>
Nf4Codes quantize_on_cpu(const std::vector<T>& x) {
  Nf4Codes w = nf4_buffers(x.size());
  kernels::cpu::nf4_quantize(x.data(), static_cast<int64_t>(x.size()), w.codes.data(),
                             w.absmax.data());
  return w;
}

inline Nf4NestedScales nest_on_cpu(const std::vector<float>& absmax) {
  Nf4NestedScales nested = nested_buffers(absmax.size());
  kernels::cpu::nf4_quantize_absmax(absmax.data(), static_cast<int64_t>(absmax.size()),
                                    nested.codes.data(), nested.absmax.data(), &nested.offset);
  return nested;
}

inline kernels::Nf4View plain_view(const Nf4Codes& w, size_t n) {
  return {
      .codes = w.codes.data(), .absmax = w.absmax.data(), .num_elements = static_cast<int64_t>(n)};
}

inline kernels::Nf4View nested_view(const Nf4Codes& w, const Nf4NestedScales& nested, size_t n) {
  return {.codes = w.codes.data(),
          .absmax_codes = nested.codes.data(),
          .nested_absmax = nested.absmax.data(),
          .nested_map = kernels::cpu::nf4_nested_map(),
          .nested_offset = nested.offset,
          .num_elements = static_cast<int64_t>(n)};
}

// The length of a buffer that holds n elements as rows.
inline size_t size_of_rows(const kernels::Nf4Rows& rows, size_t n) {
  return ceil_div(n, static_cast<size_t>(rows.cols)) * static_cast<size_t>(rows.stride);
}

// `dense` as rows over a copy of `before`.
template <typename T>
std::vector<T> copied_to_rows(const std::vector<T>& dense, const kernels::Nf4Rows& rows,
                              std::vector<T> before) {
  for (size_t i = 0; i < dense.size(); ++i) {
    const auto cols = static_cast<size_t>(rows.cols);
    before.at(i / cols * static_cast<size_t>(rows.stride) + i % cols) = dense[i];
  }
  return before;
}

// Normal values rounded to T, with one all-zero block where there is room for it.
template <typename T>
std::vector<T> random_weights(size_t n, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  std::vector<T> x(n);
  for (size_t i = 0; i < n; ++i) {
    const float value = normal(generator);
    x[i] = kernels::from_float<T>(n >= 128 && i / 64 == 1 ? 0.0f : value);
  }
  return x;
}

// Exact: the comparison is of bytes.
template <typename T>
::testing::AssertionResult same_bytes(const std::vector<T>& got, const std::vector<T>& expected) {
  if (got.size() != expected.size()) {
    return ::testing::AssertionFailure() << got.size() << " elements, expected " << expected.size();
  }
  size_t num_different = 0;
  size_t first = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::memcmp(&got[i], &expected[i], sizeof(T)) == 0) continue;
    if (num_different++ == 0) first = i;
  }
  if (num_different == 0) return ::testing::AssertionSuccess();
  const auto show = [](const T& value) {
    if constexpr (requires { kernels::to_float(value); }) {
      return std::to_string(kernels::to_float(value));
    } else {
      return std::to_string(value);
    }
  };
  return ::testing::AssertionFailure()
         << num_different << " of " << got.size() << " differ, first at " << first << ": "
         << show(got[first]) << ", expected " << show(expected[first]);
}

}  // namespace rung::test
