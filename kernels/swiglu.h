// SwiGLU: y = round(silu(gate)) * up, silu(g) = g / (1 + exp(-g)).
//
// Rounding points are those of transformers' LlamaMLP: silu is float rounded to T, and so is the
// product. The backward pass is float, rounded once. T: float, bf16, fp16.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launchers queue work on
// `stream` and return. Nothing here allocates. Devices differ by the last bits of exp.
// Source: https://arxiv.org/abs/2002.05202.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels {

// Operands may be the first columns of wider buffers; columns behind them are left alone.
struct SwigluShape {
  int64_t rows = 0;
  int64_t inter = 0;
  int64_t gate_up_stride = 0;  // elements between rows, of gate_up and d_gate_up
  int64_t y_stride = 0;        // elements between rows, of y, dy and h
};

namespace cpu {

// Given gate_up [rows, 2 * inter] (gate, then up), sets y [rows, inter].
template <typename T>
void swiglu_forward(const T* gate_up, const SwigluShape& shape, T* y);

// Given dy [rows, inter], sets d_gate_up [rows, 2 * inter], which may be gate_up, and in the same
// pass h [rows, inter], which may be dy, to what swiglu_forward gave, bit for bit: the gradients of
// the down projection need it again.
template <typename T>
void swiglu_backward(const T* dy, const T* gate_up, const SwigluShape& shape, T* d_gate_up, T* h);

}  // namespace cpu

// Fast where inter and the strides are multiples of 8 (4 in float) and operands are aligned to 16
// bytes; all others are served element by element. Throw std::invalid_argument beyond 10^9 rows or
// 10^8 columns.
namespace cuda {

// As cpu::swiglu_forward.
template <typename T>
void swiglu_forward(const T* gate_up, const SwigluShape& shape, T* y, Stream stream);

// As cpu::swiglu_backward; h is what cuda::swiglu_forward gives, bit for bit.
template <typename T>
void swiglu_backward(const T* dy, const T* gate_up, const SwigluShape& shape, T* d_gate_up, T* h,
                     Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
