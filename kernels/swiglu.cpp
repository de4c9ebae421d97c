// SwiGLU on the CPU: rows split over threads, one vectorised loop per row.
#include "kernels/swiglu.h"

#include "kernels/parallel.h"
#include "kernels/simd.h"
#include "kernels/vector_math.h"

namespace rung::kernels::cpu {

namespace {

template <typename T, typename Out>
RUNG_SIMD_CLONES void forward_row(const T* gate, const T* up, int64_t inter, Out* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < inter; ++i) {
    const float g = to_float(gate[i]);
    const float silu = to_float(from_float<T>(g * fast_sigmoid(g)));
    y[i] = from_float<Out>(to_float(from_float<T>(silu * to_float(up[i]))));
  }
}

// d_gate and d_up may be gate and up: an element is read before it is written.
template <typename T, typename Grad>
RUNG_SIMD_CLONES void backward_row(const Grad* dy, const T* gate, const T* up, int64_t inter,
                                   T* d_gate, T* d_up) {
#pragma GCC ivdep
  for (int64_t i = 0; i < inter; ++i) {
    const float g = to_float(gate[i]);
    const float u = to_float(up[i]);
    const float d = to_float(dy[i]);
    const float s = fast_sigmoid(g);
    d_gate[i] = from_float<T>(d * u * (s * (1.0f + g * (1.0f - s))));
    d_up[i] = from_float<T>(d * (g * s));
  }
}

}  // namespace

template <typename T, typename Out>
void swiglu_forward(const T* gate_up, int64_t rows, int64_t inter, Out* y) {
  parallel_for(rows, rows_per_piece(inter), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* gate = gate_up + row * 2 * inter;
      forward_row(gate, gate + inter, inter, y + row * inter);
    }
  });
}

template <typename T, typename Grad>
void swiglu_backward(const Grad* dy, const T* gate_up, int64_t rows, int64_t inter, T* d_gate_up) {
  parallel_for(rows, rows_per_piece(inter), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* gate = gate_up + row * 2 * inter;
      T* d_gate = d_gate_up + row * 2 * inter;
      backward_row(dy + row * inter, gate, gate + inter, inter, d_gate, d_gate + inter);
    }
  });
}

template void swiglu_forward(const float*, int64_t, int64_t, float*);
template void swiglu_forward(const bf16*, int64_t, int64_t, bf16*);
template void swiglu_forward(const bf16*, int64_t, int64_t, float*);
template void swiglu_backward(const float*, const float*, int64_t, int64_t, float*);
template void swiglu_backward(const bf16*, const bf16*, int64_t, int64_t, bf16*);
template void swiglu_backward(const float*, const bf16*, int64_t, int64_t, bf16*);

}  // namespace rung::kernels::cpu
