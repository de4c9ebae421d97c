// SwiGLU on the CPU: rows split over threads, one vectorised loop per row.
#include "kernels/swiglu.h"

#include "kernels/parallel.h"
#include "kernels/simd.h"
#include "kernels/vector_math.h"

namespace rung::kernels::cpu {

namespace {

// One element of the forward pass, sigmoid = 1 / (1 + e^-gate).
template <typename T>
RUNG_INLINE T output(float gate, float sigmoid, float up) {
  const float silu = to_float(from_float<T>(gate * sigmoid));
  return from_float<T>(silu * up);
}

template <typename T>
RUNG_SIMD_CLONES void forward_row(const T* gate, const T* up, int64_t inter, T* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < inter; ++i) {
    const float g = to_float(gate[i]);
    y[i] = output<T>(g, fast_sigmoid(g), to_float(up[i]));
  }
}

// d_gate and d_up may be gate and up, and h may be dy: an element is read before it is written.
template <typename T>
RUNG_SIMD_CLONES void backward_row(const T* dy, const T* gate, const T* up, int64_t inter,
                                   T* d_gate, T* d_up, T* h) {
#pragma GCC ivdep
  for (int64_t i = 0; i < inter; ++i) {
    const float d = to_float(dy[i]);
    const float g = to_float(gate[i]);
    const float u = to_float(up[i]);
    const float sigmoid = fast_sigmoid(g);
    h[i] = output<T>(g, sigmoid, u);
    d_gate[i] = from_float<T>(d * u * (sigmoid * (1.0f + g * (1.0f - sigmoid))));
    d_up[i] = from_float<T>(d * (g * sigmoid));
  }
}

}  // namespace

template <typename T>
void swiglu_forward(const T* gate_up, const SwigluShape& shape, T* y) {
  parallel_for(shape.rows, rows_per_piece(shape.inter), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* gate = gate_up + row * shape.gate_up_stride;
      forward_row(gate, gate + shape.inter, shape.inter, y + row * shape.y_stride);
    }
  });
}

template <typename T>
void swiglu_backward(const T* dy, const T* gate_up, const SwigluShape& shape, T* d_gate_up, T* h) {
  parallel_for(shape.rows, rows_per_piece(shape.inter), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* gate = gate_up + row * shape.gate_up_stride;
      T* d_gate = d_gate_up + row * shape.gate_up_stride;
      backward_row(dy + row * shape.y_stride, gate, gate + shape.inter, shape.inter, d_gate,
                   d_gate + shape.inter, h + row * shape.y_stride);
    }
  });
}

template void swiglu_forward(const float*, const SwigluShape&, float*);
template void swiglu_forward(const bf16*, const SwigluShape&, bf16*);
template void swiglu_forward(const fp16*, const SwigluShape&, fp16*);
template void swiglu_backward(const float*, const float*, const SwigluShape&, float*, float*);
template void swiglu_backward(const bf16*, const bf16*, const SwigluShape&, bf16*, bf16*);
template void swiglu_backward(const fp16*, const fp16*, const SwigluShape&, fp16*, fp16*);

}  // namespace rung::kernels::cpu
