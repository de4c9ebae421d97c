// One element of AdamW (adamw.h has the formula), for the CPU, and the factors of a step, which
// the CUDA kernels take as well. Internal to kernels/adamw*; adamw_update_device.h is the same on
// CUDA, operation by operation.
#pragma once

#include <cmath>

#include "kernels/adamw.h"
#include "kernels/simd.h"

namespace rung::kernels {

// The factors of one step, in the float that the elementwise operations use.
struct AdamWFactors {
  float grad_scale;
  float decay;  // 1 - learning_rate * weight_decay
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float root_bias_correction2;
  float epsilon;
  float step_size;  // learning_rate / bias correction of m
};

inline AdamWFactors adamw_factors(const AdamWParams& p) {
  const double correction1 = 1.0 - std::pow(p.beta1, static_cast<double>(p.step));
  const double correction2 = 1.0 - std::pow(p.beta2, static_cast<double>(p.step));
  return {.grad_scale = static_cast<float>(p.grad_scale),
          .decay = static_cast<float>(1.0 - p.learning_rate * p.weight_decay),
          .one_minus_beta1 = static_cast<float>(1.0 - p.beta1),
          .beta2 = static_cast<float>(p.beta2),
          .one_minus_beta2 = static_cast<float>(1.0 - p.beta2),
          .root_bias_correction2 = static_cast<float>(std::sqrt(correction2)),
          .epsilon = static_cast<float>(p.epsilon),
          .step_size = static_cast<float>(p.learning_rate / correction1)};
}

namespace cpu {

// For functions that are RUNG_UNFUSED.
RUNG_INLINE void adamw_update(float& param, float grad, float& m, float& v, const AdamWFactors& f) {
  const float g = grad * f.grad_scale;
  m = std::fma(f.one_minus_beta1, g - m, m);
  v = v * f.beta2 + f.one_minus_beta2 * g * g;
  const float denominator = std::sqrt(v) / f.root_bias_correction2 + f.epsilon;
  param = param * f.decay - f.step_size * (m / denominator);
}

}  // namespace cpu
}  // namespace rung::kernels
