// Random tensors and comparisons of tensors, for tests.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "tests/support/compare.h"

namespace rung::testing {

// Normally distributed values of standard deviation `scale`, rounded to `dtype`.
inline at::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed,
                                c10::ScalarType dtype = c10::kFloat, double scale = 1.0) {
  const CounterRandom random(seed, stream_of("tensor"));
  at::Tensor tensor = at::empty(shape, c10::kFloat);
  float* values = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(scale * random.normal(static_cast<uint64_t>(i)));
  }
  return tensor.to(dtype);
}

inline std::vector<double> values_of(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.detach().to(c10::kDouble).contiguous();
  const double* data = wide.const_data_ptr<double>();
  return {data, data + wide.numel()};
}

inline ::testing::AssertionResult close(const at::Tensor& got, const at::Tensor& expected,
                                        const Tolerance& tolerance) {
  if (got.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure()
           << "shape " << got.sizes() << ", expected " << expected.sizes();
  }
  return close(values_of(got), values_of(expected), tolerance);
}

// |got - expected| / |expected|, Euclidean norms; |got| where nothing but zeros is expected.
inline double relative_error(const at::Tensor& got, const at::Tensor& expected) {
  EXPECT_EQ(got.sizes(), expected.sizes());
  const std::vector<double> g = values_of(got);
  const std::vector<double> e = values_of(expected);
  double difference = 0.0;
  double reference = 0.0;
  for (size_t i = 0; i < e.size(); ++i) {
    difference += (g[i] - e[i]) * (g[i] - e[i]);
    reference += e[i] * e[i];
  }
  return std::sqrt(reference == 0.0 ? difference : difference / reference);
}

}  // namespace rung::testing
