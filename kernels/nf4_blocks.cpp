// NF4 block loops in plain C++: what runs on processors without AVX2, and what the AVX2 loops are
// tested against.
#include "kernels/nf4_blocks.h"

#include "kernels/nf4.h"
#include "kernels/nf4_tables.h"

namespace rung::kernels::cpu {

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }

namespace portable {

template <typename T>
void nf4_quantize_blocks(const T* x, int64_t num_blocks, uint8_t* codes, float* absmax) {
  for (int64_t block = 0; block < num_blocks; ++block) {
    float values[kNf4Block];
    uint32_t largest = 0;  // as bits: ordered like the magnitudes, and NaN wins
    for (int i = 0; i < kNf4Block; ++i) {
      values[i] = to_float(x[block * kNf4Block + i]);
      const uint32_t magnitude = std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu;
      largest = magnitude > largest ? magnitude : largest;
    }
    absmax[block] = std::bit_cast<float>(largest);
    const float divisor = absmax[block] < kNf4MinAbsmax ? kNf4MinAbsmax : absmax[block];
    const float reciprocal = 1.0f / divisor;
    uint8_t unpacked[kNf4Block];
    for (int i = 0; i < kNf4Block; ++i) {
      const float scaled = values[i] * reciprocal;
      int code = 0;
      // Negated so that NaN (infinity times zero) gets 15, as bitsandbytes gives it.
      for (float threshold : kNf4Tables.thresholds) code += !(scaled <= threshold);
      unpacked[i] = static_cast<uint8_t>(code);
    }
    for (int i = 0; i < kNf4Block / 2; ++i) {
      codes[block * (kNf4Block / 2) + i] =
          static_cast<uint8_t>(unpacked[2 * i] << 4 | unpacked[2 * i + 1]);
    }
  }
}

template <typename T>
void nf4_dequantize_blocks(const uint8_t* codes, const float* absmax, int64_t num_blocks, T* out) {
  for (int64_t block = 0; block < num_blocks; ++block) {
    T values[16];
    for (int k = 0; k < 16; ++k) values[k] = from_float<T>(kNf4Tables.values[k] * absmax[block]);
    for (int64_t i = block * (kNf4Block / 2); i < (block + 1) * (kNf4Block / 2); ++i) {
      out[2 * i] = values[codes[i] >> 4];
      out[2 * i + 1] = values[codes[i] & 15];
    }
  }
}

template void nf4_quantize_blocks(const float*, int64_t, uint8_t*, float*);
template void nf4_quantize_blocks(const bf16*, int64_t, uint8_t*, float*);
template void nf4_quantize_blocks(const fp16*, int64_t, uint8_t*, float*);
template void nf4_dequantize_blocks(const uint8_t*, const float*, int64_t, float*);
template void nf4_dequantize_blocks(const uint8_t*, const float*, int64_t, bf16*);
template void nf4_dequantize_blocks(const uint8_t*, const float*, int64_t, fp16*);

}  // namespace portable
}  // namespace rung::kernels::cpu
