// AdamW on the CPU: one vectorised pass, split over threads.
#include "kernels/adamw.h"

#include "kernels/adamw_update.h"
#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kPiece = 16384;

RUNG_UNFUSED RUNG_SIMD_CLONES void update(float* param, const float* grad, float* m, float* v,
                                          int64_t n, const AdamWFactors& factors) {
  const AdamWFactors f = factors;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) adamw_update(param[i], grad[i], m[i], v[i], f);
}

}  // namespace

void adamw(float* param, const float* grad, float* m, float* v, int64_t n,
           const AdamWParams& params) {
  const AdamWFactors factors = adamw_factors(params);
  parallel_for(n, kPiece, [&](int64_t begin, int64_t end) {
    update(param + begin, grad + begin, m + begin, v + begin, end - begin, factors);
  });
}

}  // namespace rung::kernels::cpu
