// AdamW with decoupled weight decay, one pass over parameter, gradient and both moments.
//
//   g = grad * grad_scale;  p *= 1 - learning_rate * weight_decay
//   m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g * g
//   p -= learning_rate / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon)
//
// The order of operations is torch.optim.AdamW's; what depends on the step alone is computed in
// double, on the host. Operations on elements are float and rounded one by one, but for the update
// of m, which is fused as torch.lerp is: results are the same bits on every processor and GPU.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launcher queues work on
// `stream` and returns. Nothing here allocates. Source: https://arxiv.org/abs/1711.05101.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels {

// Doubles: 1 - beta2 made from a float beta2 of 0.999 is off by 1e-5.
struct AdamWParams {
  double learning_rate = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  int64_t step = 1;  // 1 for the first update
  double grad_scale = 1.0;
};

namespace cpu {

// Given grad [n], updates param, m and v [n] in place. m and v are 0 before the first step.
void adamw(float* param, const float* grad, float* m, float* v, int64_t n,
           const AdamWParams& params);

}  // namespace cpu

namespace cuda {

// As cpu::adamw, bit for bit, in one launch. Throws std::invalid_argument where a pointer is not
// aligned to 16 bytes.
void adamw(float* param, const float* grad, float* m, float* v, int64_t n,
           const AdamWParams& params, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
