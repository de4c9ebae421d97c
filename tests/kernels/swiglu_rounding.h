// The rounding points of SwiGLU's forward pass.
#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

#include "kernels/dtype.h"
#include "tests/reference/swiglu.h"

namespace rung::testing {

// round(round(silu(gate)) * up), exactly, where an error of exp cannot move the first rounding.
template <typename T>
std::optional<float> rounded_swiglu(T gate, T up) {
  const double silu = reference::swiglu(kernels::to_float(gate), 1.0);
  const double error = 2e-6 * std::abs(silu);
  const T low = kernels::from_float<T>(static_cast<float>(silu - error));
  const T high = kernels::from_float<T>(static_cast<float>(silu + error));
  if (kernels::to_float(low) != kernels::to_float(high)) return std::nullopt;
  const float product = kernels::to_float(low) * kernels::to_float(up);
  return kernels::to_float(kernels::from_float<T>(product));
}

// The number of elements of y [inter] that are wrong although their rounding is certain; gate_up
// is [2 * inter].
template <typename T>
int count_misrounded(const std::vector<T>& gate_up, const std::vector<T>& y) {
  int num_wrong = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const std::optional<float> expected = rounded_swiglu(gate_up[i], gate_up[i + y.size()]);
    num_wrong += expected.has_value() && kernels::to_float(y[i]) != *expected;
  }
  return num_wrong;
}

}  // namespace rung::testing
