// SwiGLU: y = round(silu(gate)) * up, silu(g) = g / (1 + exp(-g)).
//
// Rounding points are those of transformers' LlamaMLP: silu is float rounded to T, and so is the
// product. Out says how that value is stored. The backward pass is float, rounded once.
// Source: https://arxiv.org/abs/2002.05202.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels::cpu {

// Given gate_up [rows, 2 * inter] (gate, then up), sets y [rows, inter].
// <T, Out>: <float, float>, <bf16, bf16>, <bf16, float>.
template <typename T, typename Out>
void swiglu_forward(const T* gate_up, int64_t rows, int64_t inter, Out* y);

// Given dy [rows, inter], sets d_gate_up [rows, 2 * inter], which may be gate_up.
// <T, Grad> as <T, Out> above.
template <typename T, typename Grad>
void swiglu_backward(const Grad* dy, const T* gate_up, int64_t rows, int64_t inter, T* d_gate_up);

}  // namespace rung::kernels::cpu
