// AdamW with 8-bit moments on the CPU: blocks of 256, split over threads.
#include "kernels/adamw_8bit.h"

#include <algorithm>
#include <bit>

#include "kernels/adamw_8bit_tables.h"
#include "kernels/adamw_update.h"
#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kBlocksPerPiece = 64;

struct Tables {
  const float* m_map;
  const float* v_map;
  AdamWFactors factors;
};

// One block: `count` elements, and the absmax of either moment.
struct Block {
  float* param;
  const float* grad;
  uint8_t* m_codes;
  uint8_t* v_codes;
  float* m_absmax;
  float* v_absmax;
  int64_t count;
};

// As bits: ordered like the magnitudes, and NaN wins.
RUNG_INLINE uint32_t magnitude_bits(float value) {
  return std::bit_cast<uint32_t>(value) & 0x7fffffffu;
}

// Sets the absmax of a block and returns the factor that scales its values to [-1, 1].
RUNG_INLINE float set_absmax(uint32_t largest_bits, float* absmax) {
  const float largest = std::bit_cast<float>(largest_bits);
  const float divisor = largest < kAdamW8bitMinAbsmax ? kAdamW8bitMinAbsmax : largest;
  *absmax = largest == 0.0f ? kAdamW8bitZeroAbsmax : divisor;
  return 1.0f / divisor;
}

RUNG_UNFUSED RUNG_SIMD_CLONES void update_block(const Block& block, const Tables& tables) {
  const AdamWFactors f = tables.factors;
  const Block b = block;
  float m[kAdamW8bitBlock];
  float v[kAdamW8bitBlock];
  const float m_old = *b.m_absmax;
  const float v_old = *b.v_absmax;
  for (int64_t i = 0; i < b.count; ++i) {
    m[i] = tables.m_map[b.m_codes[i]] * m_old;
    v[i] = tables.v_map[b.v_codes[i]] * v_old;
  }
#pragma GCC ivdep
  for (int64_t i = 0; i < b.count; ++i) adamw_update(b.param[i], b.grad[i], m[i], v[i], f);
  uint32_t m_largest = 0;
  uint32_t v_largest = 0;
  for (int64_t i = 0; i < b.count; ++i) {
    m_largest = std::max(m_largest, magnitude_bits(m[i]));
    v_largest = std::max(v_largest, magnitude_bits(v[i]));
  }
  const float m_factor = set_absmax(m_largest, b.m_absmax);
  const float v_factor = set_absmax(v_largest, b.v_absmax);
  for (int64_t i = 0; i < b.count; ++i) {
    const int index = dynamic_index(std::fabs(m[i]) * m_factor, kMCoder);
    const int below = kAdamW8bitZeroM - std::min<int>(index, kAdamW8bitZeroM);  // -1 has no code
    b.m_codes[i] = static_cast<uint8_t>(m[i] < 0.0f ? below : kAdamW8bitZeroM + index);
  }
  for (int64_t i = 0; i < b.count; ++i) {
    const int index = dynamic_index(v[i] * v_factor, kVCoder);
    b.v_codes[i] = static_cast<uint8_t>(std::max(index, v[i] > 0.0f ? 1 : 0));
  }
}

}  // namespace

void adamw_8bit(float* param, const float* grad, uint8_t* m_codes, float* m_absmax,
                uint8_t* v_codes, float* v_absmax, int64_t n, const AdamWParams& params) {
  const Tables tables = {dynamic_map(MapSign::kSigned), dynamic_map(MapSign::kUnsigned),
                         adamw_factors(params)};
  const int64_t num_blocks = (n + kAdamW8bitBlock - 1) / kAdamW8bitBlock;
  parallel_for(num_blocks, kBlocksPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kAdamW8bitBlock;
      update_block({.param = param + first,
                    .grad = grad + first,
                    .m_codes = m_codes + first,
                    .v_codes = v_codes + first,
                    .m_absmax = m_absmax + block,
                    .v_absmax = v_absmax + block,
                    .count = std::min(kAdamW8bitBlock, n - first)},
                   tables);
    }
  });
}

}  // namespace rung::kernels::cpu
