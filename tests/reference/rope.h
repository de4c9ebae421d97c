// Rotation of one head by the angles of one position, rotate-half form, in double.
#pragma once

#include <cstddef>
#include <vector>

namespace rung::reference {

// cos, sin [head_dim / 2]; sign 1 rotates forward, -1 back.
inline std::vector<double> rope(const std::vector<double>& x, const std::vector<double>& cos,
                                const std::vector<double>& sin, double sign) {
  const size_t half = x.size() / 2;
  std::vector<double> result(x.size());
  for (size_t i = 0; i < half; ++i) {
    result[i] = x[i] * cos[i] - sign * x[i + half] * sin[i];
    result[i + half] = x[i + half] * cos[i] + sign * x[i] * sin[i];
  }
  return result;
}

}  // namespace rung::reference
