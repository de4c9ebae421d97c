// The inner loops of the CPU path of NF4, over whole blocks of 64, single-threaded. Internal to
// kernels/nf4*.cpp and their tests: nf4.h is the interface.
//
// Each exists twice, with the same results: `portable` is plain C++, `avx2` needs a processor for
// which has_avx2() is true.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels::cpu {

bool has_avx2();

namespace portable {
// x [64 * num_blocks] -> codes [32 * num_blocks], absmax [num_blocks].
template <typename T>
void nf4_quantize_blocks(const T* x, int64_t num_blocks, uint8_t* codes, float* absmax);
// codes [32 * num_blocks], absmax [num_blocks] -> out [64 * num_blocks].
template <typename T>
void nf4_dequantize_blocks(const uint8_t* codes, const float* absmax, int64_t num_blocks, T* out);
}  // namespace portable

namespace avx2 {
template <typename T>
void nf4_quantize_blocks(const T* x, int64_t num_blocks, uint8_t* codes, float* absmax);
template <typename T>
void nf4_dequantize_blocks(const uint8_t* codes, const float* absmax, int64_t num_blocks, T* out);
}  // namespace avx2

}  // namespace rung::kernels::cpu
