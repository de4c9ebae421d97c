// The dynamic 8-bit maps in double, by their definition, and the nearest value by trying them all.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace rung::reference {

inline std::vector<double> dynamic_map(bool is_signed) {
  std::vector<double> map = {0.0, 1.0};
  for (int decade = 0; decade < 7; ++decade) {
    const int steps = (is_signed ? 1 : 2) << decade;
    for (int k = 0; k < steps; ++k) {
      const double value = std::pow(10.0, decade - 6) * (0.1 + 0.9 * (k + 0.5) / steps);
      map.push_back(value);
      if (is_signed) map.push_back(-value);
    }
  }
  std::sort(map.begin(), map.end());
  return map;
}

// Smallest distance of x to a value of the map.
inline double distance_to_map(double x, const std::vector<double>& map) {
  double smallest = HUGE_VAL;
  for (const double value : map) smallest = std::min(smallest, std::abs(x - value));
  return smallest;
}

}  // namespace rung::reference
