// Inputs of RMSNorm with gaps behind the rows, and what the reference makes of them. Gaps of the
// outputs hold kUntouched before and after.
#pragma once

#include <algorithm>

#include "kernels/rms_norm.h"
#include "tests/reference/rms_norm.h"
#include "tests/support/kernel_inputs.h"

namespace rung::testing {

inline constexpr float kEps = 1e-5f;

using NormTypes = ::testing::Types<float, kernels::bf16, kernels::fp16>;

inline kernels::RmsNormShape norm_shape(int64_t rows, int64_t heads, int64_t cols, int64_t x_gap,
                                        int64_t y_gap) {
  return {.rows = rows,
          .cols = cols,
          .x_stride = heads * cols + x_gap,
          .y_stride = heads * cols + y_gap,
          .heads = heads};
}

template <typename T>
struct RmsNormCase {
  explicit RmsNormCase(const kernels::RmsNormShape& norm_shape)
      : shape(norm_shape),
        x(random_values<T>(shape.rows * shape.x_stride, 1, 2.0)),
        residual(random_values<T>(shape.rows * shape.x_stride, 2)),
        weight(random_values<T>(shape.cols, 3)),
        dy(random_values<T>(shape.rows * shape.y_stride, 4)),
        dresidual(random_values<T>(shape.rows * shape.x_stride, 5)) {}

  size_t num_vectors() const { return static_cast<size_t>(shape.rows * shape.heads); }

  // x + residual where there are vectors: exact, the rounding is prescribed.
  std::vector<T> sum() const {
    std::vector<T> result = untouched<T>(x.size());
    for_each_vector([&](int64_t at_x, int64_t, size_t) {
      for (int64_t i = at_x; i < at_x + shape.cols; ++i) {
        const auto k = static_cast<size_t>(i);
        result[k] =
            kernels::from_float<T>(kernels::to_float(x[k]) + kernels::to_float(residual[k]));
      }
    });
    return result;
  }

  // Calls body(offset of x, offset of y, index of rstd).
  template <typename Body>
  void for_each_vector(const Body& body) const {
    for (int64_t row = 0; row < shape.rows; ++row) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        body(row * shape.x_stride + head * shape.cols, row * shape.y_stride + head * shape.cols,
             static_cast<size_t>(row * shape.heads + head));
      }
    }
  }

  kernels::RmsNormShape shape;
  std::vector<T> x;
  std::vector<T> residual;
  std::vector<T> weight;
  std::vector<T> dy;
  std::vector<T> dresidual;
};

struct NormOutputs {
  std::vector<double> y;
  std::vector<double> rstd;
};

template <typename T>
std::vector<double> slice(const std::vector<T>& values, int64_t begin, int64_t count) {
  return widen(std::vector<T>(values.begin() + begin, values.begin() + begin + count));
}

// The norm of `input`, which is x or the sum.
template <typename T>
NormOutputs reference_forward(const RmsNormCase<T>& c, const std::vector<T>& input) {
  NormOutputs outputs = {.y = std::vector<double>(c.dy.size(), kUntouched),
                         .rstd = std::vector<double>(c.num_vectors())};
  c.for_each_vector([&](int64_t at_x, int64_t at_y, size_t vector) {
    const auto result =
        reference::rms_norm(slice(input, at_x, c.shape.cols), widen(c.weight), kEps);
    std::ranges::copy(result.y, outputs.y.begin() + at_y);
    outputs.rstd[vector] = result.rstd;
  });
  return outputs;
}

// dx, with `dresidual` or, where that is empty, without.
template <typename T>
std::vector<double> reference_backward(const RmsNormCase<T>& c, const std::vector<T>& dresidual) {
  std::vector<double> dx(c.x.size(), kUntouched);
  c.for_each_vector([&](int64_t at_x, int64_t at_y, size_t) {
    const auto gradient = reference::rms_norm_backward(
        slice(c.dy, at_y, c.shape.cols), slice(c.x, at_x, c.shape.cols), widen(c.weight), kEps);
    for (int64_t i = 0; i < c.shape.cols; ++i) {
      const auto k = static_cast<size_t>(at_x + i);
      dx[k] = gradient[static_cast<size_t>(i)];
      if (!dresidual.empty()) dx[k] += as_double(dresidual[k]);
    }
  });
  return dx;
}

// rstd of the reference, rounded: an input of the backward pass.
template <typename T>
std::vector<float> reference_rstd(const RmsNormCase<T>& c) {
  const std::vector<double> exact = reference_forward(c, c.x).rstd;
  return {exact.begin(), exact.end()};
}

// y for a given rstd, exact: every rounding is prescribed.
template <typename T>
std::vector<T> prescribed_y(const RmsNormCase<T>& c, const std::vector<T>& input,
                            const std::vector<float>& rstd) {
  using kernels::from_float;
  using kernels::to_float;
  std::vector<T> y = untouched<T>(c.dy.size());
  c.for_each_vector([&](int64_t at_x, int64_t at_y, size_t vector) {
    for (int64_t i = 0; i < c.shape.cols; ++i) {
      const float value = to_float(input[static_cast<size_t>(at_x + i)]);
      const T normed = from_float<T>(value * rstd[vector]);
      const float weight = to_float(c.weight[static_cast<size_t>(i)]);
      y[static_cast<size_t>(at_y + i)] = from_float<T>(to_float(normed) * weight);
    }
  });
  return y;
}

}  // namespace rung::testing
