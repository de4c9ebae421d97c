// One element of AdamW in device code: cpu::adamw_update (adamw_update.h), operation by operation.
// What the _rn intrinsics round is never fused, so that the bits are the CPU's.
#pragma once

#include "kernels/adamw_update.h"
#include "kernels/launch.h"

namespace rung::kernels::cuda {

__device__ inline void adamw_update(float& param, float grad, float& m, float& v,
                                    const AdamWFactors& f) {
  const float g = __fmul_rn(grad, f.grad_scale);
  m = __fmaf_rn(f.one_minus_beta1, __fsub_rn(g, m), m);
  v = __fadd_rn(__fmul_rn(v, f.beta2), __fmul_rn(__fmul_rn(f.one_minus_beta2, g), g));
  const float root = __fdiv_rn(__fsqrt_rn(v), f.root_bias_correction2);
  const float quotient = __fdiv_rn(m, __fadd_rn(root, f.epsilon));
  param = __fsub_rn(__fmul_rn(param, f.decay), __fmul_rn(f.step_size, quotient));
}

}  // namespace rung::kernels::cuda
