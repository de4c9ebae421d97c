// RMSNorm on the CPU: rows split over threads, two vectorised passes over each vector.
#include "kernels/rms_norm.h"

#include <cmath>

#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

enum class Residual { kAbsent, kAdded };

template <typename T>
RUNG_SIMD_CLONES void add_vectors(const T* x, const T* residual, int64_t cols, T* sum) {
#pragma GCC ivdep
  for (int64_t i = 0; i < cols; ++i) {
    sum[i] = from_float<T>(to_float(x[i]) + to_float(residual[i]));
  }
}

// Returns rstd.
template <typename T>
RUNG_SIMD_CLONES float forward_vector(const T* x, const T* weight, float eps, int64_t cols, T* y) {
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
    y[i] = from_float<T>(normed * to_float(weight[i]));
  }
  return rstd;
}

// With n = x * rstd and d = dy * weight: dx = rstd * (d - n * mean(n * d)) + dresidual.
template <Residual kind, typename T>
RUNG_SIMD_CLONES void backward_vector(const T* dy, const T* x, const T* weight, float rstd,
                                      const T* dresidual, int64_t cols, T* dx) {
  float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < cols; ++i) dot += to_float(dy[i]) * to_float(weight[i]) * to_float(x[i]);
  const float factor = dot * rstd * rstd / static_cast<float>(cols);
#pragma GCC ivdep
  for (int64_t i = 0; i < cols; ++i) {
    const float d = to_float(dy[i]) * to_float(weight[i]);
    float value = rstd * (d - to_float(x[i]) * factor);
    if constexpr (kind == Residual::kAdded) value += to_float(dresidual[i]);
    dx[i] = from_float<T>(value);
  }
}

// Calls body(offset of x, offset of y, index of rstd) for every vector.
template <typename Body>
void for_each_vector(const RmsNormShape& shape, const Body& body) {
  const int64_t grain = rows_per_piece(shape.heads * shape.cols);
  parallel_for(shape.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        body(row * shape.x_stride + head * shape.cols, row * shape.y_stride + head * shape.cols,
             row * shape.heads + head);
      }
    }
  });
}

}  // namespace

template <typename T>
void rms_norm_forward(const T* x, const T* weight, float eps, const RmsNormShape& shape, T* y,
                      float* rstd) {
  for_each_vector(shape, [&](int64_t at_x, int64_t at_y, int64_t vector) {
    const float vector_rstd = forward_vector(x + at_x, weight, eps, shape.cols, y + at_y);
    if (rstd != nullptr) rstd[vector] = vector_rstd;
  });
}

template <typename T>
void rms_norm_add_forward(const T* x, const T* residual, const T* weight, float eps,
                          const RmsNormShape& shape, T* sum, T* y, float* rstd) {
  for_each_vector(shape, [&](int64_t at_x, int64_t at_y, int64_t vector) {
    add_vectors(x + at_x, residual + at_x, shape.cols, sum + at_x);
    const float vector_rstd = forward_vector(sum + at_x, weight, eps, shape.cols, y + at_y);
    if (rstd != nullptr) rstd[vector] = vector_rstd;
  });
}

template <typename T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const float* rstd,
                       const T* dresidual, const RmsNormShape& shape, T* dx) {
  for_each_vector(shape, [&](int64_t at_x, int64_t at_y, int64_t vector) {
    if (dresidual == nullptr) {
      backward_vector<Residual::kAbsent, T>(dy + at_y, x + at_x, weight, rstd[vector], nullptr,
                                            shape.cols, dx + at_x);
    } else {
      backward_vector<Residual::kAdded>(dy + at_y, x + at_x, weight, rstd[vector], dresidual + at_x,
                                        shape.cols, dx + at_x);
    }
  });
}

#define RUNG_INSTANTIATE(T)                                                                        \
  template void rms_norm_forward(const T*, const T*, float, const RmsNormShape&, T*, float*);      \
  template void rms_norm_add_forward(const T*, const T*, const T*, float, const RmsNormShape&, T*, \
                                     T*, float*);                                                  \
  template void rms_norm_backward(const T*, const T*, const T*, const float*, const T*,            \
                                  const RmsNormShape&, T*);

RUNG_INSTANTIATE(float)
RUNG_INSTANTIATE(bf16)
RUNG_INSTANTIATE(fp16)

#undef RUNG_INSTANTIATE

}  // namespace rung::kernels::cpu
