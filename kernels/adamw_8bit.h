// AdamW (adamw.h) whose moments are kept in 8 bits: two bytes an element instead of eight.
//
// m = signed map[m_codes] * m_absmax, v = unsigned map[v_codes] * v_absmax (dynamic_map.h), one
// absmax for each moment and block of 256 consecutive elements. One pass reads the moments, updates
// them and the parameter in float as adamw does, and stores the moments again, each as the nearest
// value of its map under the block's new absmax. So the first step moves the parameters exactly as
// adamw does, and a later one differs by what the moments lost on the way.
//
// A v that is not 0 is never stored as 0: code 1 is its least, 3.3e-7 of the block's largest.
// Rounded to 0 beside an m that is not 0 it would leave sqrt(v) far too small (or 0), and the next
// update would be tens to millions of times too large. Rounded up it makes updates of elements
// whose gradients are below some 1/1750 of their block's largest too small instead. As in
// bitsandbytes, a change of v by less than half a step of its map is lost, and NaN or infinity in a
// gradient spoils its whole block.
//
// All zero bytes are the state before the first step; so are any codes with an absmax of 0. The
// constants below are the codes of 0 itself, which is what blocks of zeros are stored as.
//
// Results are the same bits on every processor and GPU, whatever the threads. Pointers are host
// memory in cpu:: and device memory in cuda::. The CUDA launcher queues work on `stream` and
// returns. Nothing here allocates.
// Source: 8-bit Optimizers via Block-wise Quantization, https://arxiv.org/abs/2110.02861.
#pragma once

#include <cstdint>

#include "kernels/adamw.h"
#include "kernels/dtype.h"
#include "kernels/dynamic_map.h"

namespace rung::kernels {

inline constexpr int64_t kAdamW8bitBlock = 256;  // elements per absmax
inline constexpr uint8_t kAdamW8bitZeroM = kSignedZeroCode;
inline constexpr uint8_t kAdamW8bitZeroV = kUnsignedZeroCode;
inline constexpr float kAdamW8bitZeroAbsmax = 0.0f;

namespace cpu {

// Given grad [n], updates param [n], m_codes and v_codes [n], m_absmax and v_absmax
// [ceil(n / 256)] in place.
void adamw_8bit(float* param, const float* grad, uint8_t* m_codes, float* m_absmax,
                uint8_t* v_codes, float* v_absmax, int64_t n, const AdamWParams& params);

}  // namespace cpu

namespace cuda {

// As cpu::adamw_8bit, bit for bit, in one launch. Throws std::invalid_argument where param or grad
// is not aligned to 16 bytes or codes to 4.
void adamw_8bit(float* param, const float* grad, uint8_t* m_codes, float* m_absmax,
                uint8_t* v_codes, float* v_absmax, int64_t n, const AdamWParams& params,
                Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
