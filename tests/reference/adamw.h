// One AdamW update of one parameter, in double.
#pragma once

#include <cmath>

#include "kernels/adamw.h"

namespace rung::reference {

struct AdamWState {
  double param = 0.0;
  double m = 0.0;
  double v = 0.0;
};

inline AdamWState adamw(AdamWState state, double grad, const kernels::AdamWParams& p) {
  const double g = grad * p.grad_scale;
  state.param *= 1.0 - p.learning_rate * p.weight_decay;
  state.m = p.beta1 * state.m + (1.0 - p.beta1) * g;
  state.v = p.beta2 * state.v + (1.0 - p.beta2) * g * g;
  const double m_hat = state.m / (1.0 - std::pow(p.beta1, static_cast<double>(p.step)));
  const double v_hat = state.v / (1.0 - std::pow(p.beta2, static_cast<double>(p.step)));
  state.param -= p.learning_rate * m_hat / (std::sqrt(v_hat) + p.epsilon);
  return state;
}

}  // namespace rung::reference
