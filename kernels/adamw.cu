// AdamW on CUDA; the contract is adamw.h. Bound by memory: 28 bytes an element. A thread owns one
// vector of 4 elements, whose four loads are issued together.
#include "kernels/adamw.h"
#include "kernels/adamw_update_device.h"
#include "kernels/launch.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kThreads = 256;

// grad [n] -> param, m, v [n] in place.
__global__ void __launch_bounds__(kThreads, 6)
    adamw_kernel(float* __restrict__ param, const float* __restrict__ grad, float* __restrict__ m,
                 float* __restrict__ v, int64_t n, AdamWFactors factors) {
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
  if (first + 4 <= n) {
    float4 params = *reinterpret_cast<const float4*>(param + first);
    const float4 grads = *reinterpret_cast<const float4*>(grad + first);
    float4 ms = *reinterpret_cast<const float4*>(m + first);
    float4 vs = *reinterpret_cast<const float4*>(v + first);
    adamw_update(params.x, grads.x, ms.x, vs.x, factors);
    adamw_update(params.y, grads.y, ms.y, vs.y, factors);
    adamw_update(params.z, grads.z, ms.z, vs.z, factors);
    adamw_update(params.w, grads.w, ms.w, vs.w, factors);
    *reinterpret_cast<float4*>(param + first) = params;
    *reinterpret_cast<float4*>(m + first) = ms;
    *reinterpret_cast<float4*>(v + first) = vs;
  } else {
    for (int64_t i = first; i < n; ++i) adamw_update(param[i], grad[i], m[i], v[i], factors);
  }
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

void adamw(float* param, const float* grad, float* m, float* v, int64_t n,
           const AdamWParams& params, Stream stream) {
  if (n == 0) return;
  check_alignment(param, 16, "adamw: param");
  check_alignment(grad, 16, "adamw: grad");
  check_alignment(m, 16, "adamw: m");
  check_alignment(v, 16, "adamw: v");
  const int64_t blocks = (n + kThreads * 4 - 1) / (kThreads * 4);
  launch(adamw_kernel, static_cast<unsigned>(blocks), kThreads, 0, stream, param, grad, m, v, n,
         adamw_factors(params));
}

}  // namespace rung::kernels::cuda
