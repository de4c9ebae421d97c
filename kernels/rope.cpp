// Rotary embedding on the CPU: tokens split over threads, one vectorised loop per head.
#include "kernels/rope.h"

#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

// Rotates the heads of one token by `sign` times their angles.
template <typename T>
RUNG_SIMD_CLONES void rotate_token(T* x, const float* cos, const float* sin, float sign,
                                   int64_t heads, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  for (int64_t head = 0; head < heads; ++head) {
    T* first = x + head * head_dim;
    T* second = first + half;
#pragma GCC ivdep
    for (int64_t i = 0; i < half; ++i) {
      const float a = to_float(first[i]);
      const float b = to_float(second[i]);
      const float s = sign * sin[i];
      first[i] = from_float<T>(a * cos[i] - b * s);
      second[i] = from_float<T>(b * cos[i] + a * s);
    }
  }
}

}  // namespace

template <typename T>
void rope_(T* x, const float* cos, const float* sin, const int32_t* positions,
           const RopeShape& shape, RopeDirection direction) {
  const float sign = direction == RopeDirection::kForward ? 1.0f : -1.0f;
  const int64_t half = shape.head_dim / 2;
  const int64_t grain = rows_per_piece(shape.heads * shape.head_dim);
  parallel_for(shape.tokens, grain, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const int64_t angle = positions[token] * half;
      rotate_token(x + token * shape.token_stride, cos + angle, sin + angle, sign, shape.heads,
                   shape.head_dim);
    }
  });
}

template void rope_(float*, const float*, const float*, const int32_t*, const RopeShape&,
                    RopeDirection);
template void rope_(bf16*, const float*, const float*, const int32_t*, const RopeShape&,
                    RopeDirection);
template void rope_(fp16*, const float*, const float*, const int32_t*, const RopeShape&,
                    RopeDirection);

}  // namespace rung::kernels::cpu
