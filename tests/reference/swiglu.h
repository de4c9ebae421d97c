// SwiGLU of one element, forward and backward, in double.
#pragma once

#include <cmath>

namespace rung::reference {

inline double swiglu(double gate, double up) { return gate / (1.0 + std::exp(-gate)) * up; }

struct SwigluGradient {
  double gate = 0.0;
  double up = 0.0;
};

inline SwigluGradient swiglu_backward(double dy, double gate, double up) {
  const double s = 1.0 / (1.0 + std::exp(-gate));
  return {.gate = dy * up * (s + gate * s * (1.0 - s)), .up = dy * gate * s};
}

}  // namespace rung::reference
