// RMSNorm: y = round(x * rstd) * weight, rstd = 1 / sqrt(mean(x^2) + eps).
//
// Rounding points are those of transformers' LlamaRMSNorm: the mean and rstd are float, x * rstd is
// rounded to T, and so is its product with the weight. The weight is frozen: it has no gradient.
// T: float, bf16, fp16.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launchers queue work on
// `stream` and return. Nothing here allocates. Results do not depend on threads.
// Source: https://arxiv.org/abs/1910.07467.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels {

// Vector (row, head) lies at x + row * x_stride + head * cols. heads > 1 normalises each head of a
// query or key buffer by itself (Qwen3).
struct RmsNormShape {
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t x_stride = 0;  // elements between rows, of x and dx, residual, sum and dresidual
  int64_t y_stride = 0;  // elements between rows, of y and dy
  int64_t heads = 1;     // vectors in a row, all with the same weight
};

namespace cpu {

// Given x [rows, heads * cols] and weight [cols], sets y [rows, heads * cols] and, unless null,
// rstd [rows, heads]. y may be x where the strides are equal.
template <typename T>
void rms_norm_forward(const T* x, const T* weight, float eps, const RmsNormShape& shape, T* y,
                      float* rstd);

// Given x and residual [rows, heads * cols], sets sum = x + residual, rounded to T, and y and rstd
// as rms_norm_forward does for x = sum. sum may be x or residual; y is apart from the others.
template <typename T>
void rms_norm_add_forward(const T* x, const T* residual, const T* weight, float eps,
                          const RmsNormShape& shape, T* sum, T* y, float* rstd);

// Given dy [rows, heads * cols], and x, weight, rstd of the forward pass, sets dx, to which
// dresidual [rows, heads * cols], unless null, is added: the gradient that reaches x past the norm.
// The float sum is rounded once. dx may be x or dresidual, and dy where the strides are equal.
template <typename T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const float* rstd,
                       const T* dresidual, const RmsNormShape& shape, T* dx);

}  // namespace cpu

// As in cpu::, with rstd and dot products summed in another order. Rows that are aligned to 16
// bytes, in pointers, strides and cols, are accessed in packets of 16 bytes, others by element.
// Throw std::invalid_argument where cols > 16384 (8192 by element), or for 2^31 vectors or more.
namespace cuda {

template <typename T>
void rms_norm_forward(const T* x, const T* weight, float eps, const RmsNormShape& shape, T* y,
                      float* rstd, Stream stream);

template <typename T>
void rms_norm_add_forward(const T* x, const T* residual, const T* weight, float eps,
                          const RmsNormShape& shape, T* sum, T* y, float* rstd, Stream stream);

template <typename T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const float* rstd,
                       const T* dresidual, const RmsNormShape& shape, T* dx, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
