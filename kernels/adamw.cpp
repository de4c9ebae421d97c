// AdamW on the CPU: one vectorised pass, split over threads.
#include "kernels/adamw.h"

#include <cmath>

#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kPiece = 16384;

// The factors of one step, in the float that the elementwise operations use.
struct Factors {
  float grad_scale;
  float decay;  // 1 - learning_rate * weight_decay
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float root_bias_correction2;
  float epsilon;
  float step_size;  // learning_rate / bias correction of m
};

Factors factors_of(const AdamWParams& p) {
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

RUNG_SIMD_CLONES void update(float* param, const float* grad, float* m, float* v, int64_t n,
                             const Factors& factors) {
  const Factors f = factors;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float g = grad[i] * f.grad_scale;
    const float first = m[i] + f.one_minus_beta1 * (g - m[i]);
    const float second = v[i] * f.beta2 + f.one_minus_beta2 * g * g;
    const float denominator = std::sqrt(second) / f.root_bias_correction2 + f.epsilon;
    m[i] = first;
    v[i] = second;
    param[i] = param[i] * f.decay - f.step_size * (first / denominator);
  }
}

}  // namespace

void adamw(float* param, const float* grad, float* m, float* v, int64_t n,
           const AdamWParams& params) {
  const Factors factors = factors_of(params);
  parallel_for(n, kPiece, [&](int64_t begin, int64_t end) {
    update(param + begin, grad + begin, m + begin, v + begin, end - begin, factors);
  });
}

}  // namespace rung::kernels::cpu
