// RMSNorm: y = round(x * rstd) * weight, rstd = 1 / sqrt(mean(x^2) + eps).
//
// Rounding points are those of transformers' LlamaRMSNorm: the mean and rstd are float, x * rstd is
// rounded to T, and so is its product with the weight. Out says how that value is stored: bf16
// results may be widened to float for a float GEMM. The weight is frozen: it has no gradient.
// Source: https://arxiv.org/abs/1910.07467.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels::cpu {

// Vector (row, head) lies at x + row * x_stride + head * cols. heads > 1 normalises each head of a
// query or key buffer by itself (Qwen3).
struct RmsNormShape {
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t x_stride = 0;  // elements between rows, of x and dx
  int64_t y_stride = 0;  // elements between rows, of y and dy
  int64_t heads = 1;     // vectors in a row, all with the same weight
};

// Given x [rows, heads * cols] and weight [cols], sets y [rows, heads * cols] and, unless null,
// rstd [rows, heads]. y may be x where Out is T and the strides are equal.
// <T, Out>: <float, float>, <bf16, bf16>, <bf16, float>.
template <typename T, typename Out>
void rms_norm_forward(const T* x, const T* weight, float eps, const RmsNormShape& shape, Out* y,
                      float* rstd);

// Given dy [rows, heads * cols], and x, weight, rstd of the forward pass, sets dx. dx may be x; it
// may be dy where Grad is T and the strides are equal. <T, Grad> as <T, Out> above.
template <typename T, typename Grad>
void rms_norm_backward(const Grad* dy, const T* x, const T* weight, const float* rstd,
                       const RmsNormShape& shape, T* dx);

}  // namespace rung::kernels::cpu
