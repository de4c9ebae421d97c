// RMSNorm on the CPU: rows split over threads, two vectorised passes over each vector.
#include "kernels/rms_norm.h"

#include <cmath>

#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

// Returns rstd.
template <typename T, typename Out>
RUNG_SIMD_CLONES float forward_vector(const T* x, const T* weight, float eps, int64_t cols,
                                      Out* y) {
  float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < cols; ++i) {
    const float value = to_float(x[i]);
    squares += value * value;
  }
  const float rstd = 1.0f / std::sqrt(squares / static_cast<float>(cols) + eps);
#pragma GCC ivdep
  for (int64_t i = 0; i < cols; ++i) {
    const float normed = to_float(from_float<T>(to_float(x[i]) * rstd));
    y[i] = from_float<Out>(to_float(from_float<T>(normed * to_float(weight[i]))));
  }
  return rstd;
}

// With n = x * rstd and d = dy * weight: dx = rstd * (d - n * mean(n * d)).
template <typename T, typename Grad>
RUNG_SIMD_CLONES void backward_vector(const Grad* dy, const T* x, const T* weight, float rstd,
                                      int64_t cols, T* dx) {
  float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < cols; ++i) dot += to_float(dy[i]) * to_float(weight[i]) * to_float(x[i]);
  const float factor = dot * rstd * rstd / static_cast<float>(cols);
#pragma GCC ivdep
  for (int64_t i = 0; i < cols; ++i) {
    const float d = to_float(dy[i]) * to_float(weight[i]);
    dx[i] = from_float<T>(rstd * (d - to_float(x[i]) * factor));
  }
}

}  // namespace

template <typename T, typename Out>
void rms_norm_forward(const T* x, const T* weight, float eps, const RmsNormShape& shape, Out* y,
                      float* rstd) {
  const int64_t grain = rows_per_piece(shape.heads * shape.cols);
  parallel_for(shape.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        const float vector_rstd =
            forward_vector(x + row * shape.x_stride + head * shape.cols, weight, eps, shape.cols,
                           y + row * shape.y_stride + head * shape.cols);
        if (rstd != nullptr) rstd[row * shape.heads + head] = vector_rstd;
      }
    }
  });
}

template <typename T, typename Grad>
void rms_norm_backward(const Grad* dy, const T* x, const T* weight, const float* rstd,
                       const RmsNormShape& shape, T* dx) {
  const int64_t grain = rows_per_piece(shape.heads * shape.cols);
  parallel_for(shape.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        const int64_t offset = row * shape.x_stride + head * shape.cols;
        backward_vector(dy + row * shape.y_stride + head * shape.cols, x + offset, weight,
                        rstd[row * shape.heads + head], shape.cols, dx + offset);
      }
    }
  });
}

template void rms_norm_forward(const float*, const float*, float, const RmsNormShape&, float*,
                               float*);
template void rms_norm_forward(const bf16*, const bf16*, float, const RmsNormShape&, bf16*, float*);
template void rms_norm_forward(const bf16*, const bf16*, float, const RmsNormShape&, float*,
                               float*);
template void rms_norm_backward(const float*, const float*, const float*, const float*,
                                const RmsNormShape&, float*);
template void rms_norm_backward(const bf16*, const bf16*, const bf16*, const float*,
                                const RmsNormShape&, bf16*);
template void rms_norm_backward(const float*, const bf16*, const bf16*, const float*,
                                const RmsNormShape&, bf16*);

}  // namespace rung::kernels::cpu
