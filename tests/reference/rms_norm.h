// RMSNorm of one vector, forward and backward, in double and without intermediate rounding. The
// residual forms are these with the sum of two vectors as x, and with a gradient added to dx.
#pragma once

#include <cmath>
#include <vector>

namespace rung::reference {

struct RmsNormResult {
  std::vector<double> y;
  double rstd = 0.0;
};

inline RmsNormResult rms_norm(const std::vector<double>& x, const std::vector<double>& weight,
                              double eps) {
  double squares = 0.0;
  for (const double value : x) squares += value * value;
  RmsNormResult result;
  result.rstd = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  for (size_t i = 0; i < x.size(); ++i) result.y.push_back(x[i] * result.rstd * weight[i]);
  return result;
}

// dx_j = sum_i dy_i w_i d(x_i rstd)/dx_j
inline std::vector<double> rms_norm_backward(const std::vector<double>& dy,
                                             const std::vector<double>& x,
                                             const std::vector<double>& weight, double eps) {
  const double rstd = rms_norm(x, weight, eps).rstd;
  double dot = 0.0;
  for (size_t i = 0; i < x.size(); ++i) dot += dy[i] * weight[i] * x[i];
  std::vector<double> dx;
  for (size_t i = 0; i < x.size(); ++i) {
    dx.push_back(dy[i] * weight[i] * rstd -
                 x[i] * rstd * rstd * rstd * dot / static_cast<double>(x.size()));
  }
  return dx;
}

}  // namespace rung::reference
