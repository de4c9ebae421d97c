// Inputs of SwiGLU with gaps behind the rows, and what the reference makes of them. Gaps of the
// outputs hold the same before and after.
#pragma once

#include <algorithm>

#include "kernels/swiglu.h"
#include "tests/reference/swiglu.h"
#include "tests/support/kernel_inputs.h"

namespace rung::testing {

inline kernels::SwigluShape swiglu_shape(int64_t rows, int64_t inter, int64_t gate_up_gap = 0,
                                         int64_t y_gap = 0) {
  return {.rows = rows,
          .inter = inter,
          .gate_up_stride = 2 * inter + gate_up_gap,
          .y_stride = inter + y_gap};
}

template <typename T>
struct SwigluCase {
  explicit SwigluCase(const kernels::SwigluShape& swiglu_shape)
      : shape(swiglu_shape),
        gate_up(random_values<T>(shape.rows * shape.gate_up_stride, 1, 3.0)),
        dy(random_values<T>(shape.rows * shape.y_stride, 2)) {}

  // Calls body(index of gate, index of up, index of y).
  template <typename Body>
  void for_each_element(const Body& body) const {
    for (int64_t row = 0; row < shape.rows; ++row) {
      for (int64_t i = 0; i < shape.inter; ++i) {
        const int64_t gate = row * shape.gate_up_stride + i;
        body(static_cast<size_t>(gate), static_cast<size_t>(gate + shape.inter),
             static_cast<size_t>(row * shape.y_stride + i));
      }
    }
  }

  // y of the reference, written over untouched memory.
  std::vector<double> expected_y() const {
    std::vector<double> y(dy.size(), kUntouched);
    for_each_element([&](size_t gate, size_t up, size_t out) {
      y[out] = reference::swiglu(as_double(gate_up[gate]), as_double(gate_up[up]));
    });
    return y;
  }

  // d_gate_up of the reference, written over `before`.
  std::vector<double> expected_gradient(const std::vector<T>& before) const {
    std::vector<double> d_gate_up = widen(before);
    for_each_element([&](size_t gate, size_t up, size_t out) {
      const auto gradient = reference::swiglu_backward(as_double(dy[out]), as_double(gate_up[gate]),
                                                       as_double(gate_up[up]));
      d_gate_up[gate] = gradient.gate;
      d_gate_up[up] = gradient.up;
    });
    return d_gate_up;
  }

  // `d_gate_up` with the gaps of gate_up: what a gradient in place has to be.
  std::vector<T> in_place(const std::vector<T>& d_gate_up) const {
    std::vector<T> result = gate_up;
    for_each_element([&](size_t gate, size_t up, size_t) {
      result[gate] = d_gate_up[gate];
      result[up] = d_gate_up[up];
    });
    return result;
  }

  // `y` with the gaps of dy: what the output has to be where it takes the place of dy.
  std::vector<T> output_in_place(const std::vector<T>& y) const {
    std::vector<T> result = dy;
    for_each_element([&](size_t, size_t, size_t out) { result[out] = y[out]; });
    return result;
  }

  kernels::SwigluShape shape;
  std::vector<T> gate_up;
  std::vector<T> dy;
};

}  // namespace rung::testing
