// NF4 block loops with AVX2. Same results as the portable loops, bit for bit.
//
// Quantising: a code is found by four steps of binary search over the thresholds, 8 elements at a
// time, the thresholds of the later steps looked up with lane permutations.
// Dequantising: the 16 possible values of a block are computed once, rounded, and looked up by
// byte shuffles (16-bit outputs) or lane permutations (32-bit outputs): no multiplication per
// element, so the loop runs at the speed of its stores.
#include <immintrin.h>

#include <type_traits>

#include "kernels/nf4.h"
#include "kernels/nf4_blocks.h"
#include "kernels/nf4_tables.h"

// From here on only: the inline functions of the headers above stay runnable everywhere.
#pragma GCC target("avx2,f16c")

namespace rung::kernels::cpu::avx2 {

namespace {

constexpr int kLanes = 8;
constexpr int kVectors = kNf4Block / kLanes;

inline __m256 load(const float* x) { return _mm256_loadu_ps(x); }

inline __m256 load(const bf16* x) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
}

inline __m256 load(const fp16* x) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

inline float horizontal_absmax(const __m256 (&values)[kVectors]) {
  // Magnitudes as integers: ordered alike, and NaN wins.
  const __m256i no_sign = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  for (const __m256& value : values) {
    largest = _mm256_max_epu32(largest, _mm256_and_si256(_mm256_castps_si256(value), no_sign));
  }
  __m128i half =
      _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(1, 0, 3, 2)));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(2, 3, 0, 1)));
  return std::bit_cast<float>(_mm_cvtsi128_si32(half));
}

// All ones where the scaled value lies above the threshold (or is NaN).
inline __m256i above(__m256 scaled, __m256 threshold) {
  return _mm256_castps_si256(_mm256_cmp_ps(scaled, threshold, _CMP_NLE_UQ));
}

// 8 codes, one in each 32-bit lane.
inline __m256i find_codes(__m256 scaled) {
  const float* t = kNf4Tables.thresholds;
  const __m256 step3 = _mm256_setr_ps(t[1], t[5], t[9], t[13], t[1], t[5], t[9], t[13]);
  const __m256 step4 = _mm256_setr_ps(t[0], t[2], t[4], t[6], t[8], t[10], t[12], t[14]);
  const __m256i bit3 = above(scaled, _mm256_set1_ps(t[7]));
  const __m256 step2 =
      _mm256_blendv_ps(_mm256_set1_ps(t[3]), _mm256_set1_ps(t[11]), _mm256_castsi256_ps(bit3));
  // A mask is -1, so subtracting it appends a set bit.
  __m256i code =
      _mm256_sub_epi32(_mm256_slli_epi32(_mm256_srli_epi32(bit3, 31), 1), above(scaled, step2));
  code = _mm256_sub_epi32(_mm256_add_epi32(code, code),
                          above(scaled, _mm256_permutevar8x32_ps(step3, code)));
  return _mm256_sub_epi32(_mm256_add_epi32(code, code),
                          above(scaled, _mm256_permutevar8x32_ps(step4, code)));
}

// 32 codes in four vectors -> their 16 bytes, in order, as 16-bit lanes.
inline __m256i pack_32(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
  const __m256i ordered =
      _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  return _mm256_maddubs_epi16(ordered, _mm256_set1_epi16(0x0110));  // 16 * even + odd
}

// 8 floats -> their bits in T, one in each 32-bit lane. Same rounding as from_float<T>.
template <typename T>
inline __m256i round_bits(__m256 values) {
  if constexpr (std::is_same_v<T, fp16>) {
    return _mm256_cvtepu16_epi32(_mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
  } else {
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i upper = _mm256_srli_epi32(bits, 16);
    const __m256i tie = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(bits, _mm256_add_epi32(tie, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    const __m256 is_nan = _mm256_cmp_ps(values, values, _CMP_UNORD_Q);
    return _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16), quiet, _mm256_castps_si256(is_nan));
  }
}

// 64 floats, from the values of codes 0-7 and 8-15.
inline void look_up(__m256 low_half, __m256 high_half, const uint8_t* codes, float* out) {
  const __m256i nibble_shifts = _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24);
  for (int i = 0; i < kVectors; ++i) {
    int32_t word;
    __builtin_memcpy(&word, codes + 4 * i, 4);
    // The permutation reads the low 3 bits of a lane, the blend its sign: bit 3 of the code.
    const __m256i code = _mm256_srlv_epi32(_mm256_set1_epi32(word), nibble_shifts);
    const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(code, 28));
    _mm256_storeu_ps(out + kLanes * i,
                     _mm256_blendv_ps(_mm256_permutevar8x32_ps(low_half, code),
                                      _mm256_permutevar8x32_ps(high_half, code), upper));
  }
}

// 64 outputs of 16 bits, from the bits of the values of codes 0-7 and 8-15 in 32-bit lanes.
inline void look_up(__m256i low_half, __m256i high_half, const uint8_t* codes, uint16_t* out) {
  const __m256i table = _mm256_packus_epi32(low_half, high_half);
  // In units of four codes: low bytes of 0, 2, then high bytes of 0, 2, then the same of 1, 3.
  const __m256i split = _mm256_packus_epi16(_mm256_and_si256(table, _mm256_set1_epi16(0xff)),
                                            _mm256_srli_epi16(table, 8));
  const __m256i low_bytes =
      _mm256_permutevar8x32_epi32(split, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
  const __m256i high_bytes =
      _mm256_permutevar8x32_epi32(split, _mm256_setr_epi32(2, 6, 3, 7, 2, 6, 3, 7));
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  const __m256i even = _mm256_and_si256(_mm256_srli_epi16(packed, 4), nibble);
  const __m256i odd = _mm256_and_si256(packed, nibble);
  // Unpacking works inside 128-bit halves: `first` holds elements 0-15 and 32-47, `second` the
  // rest, and the halves are put in order by the stores.
  const __m256i first = _mm256_unpacklo_epi8(even, odd);
  const __m256i second = _mm256_unpackhi_epi8(even, odd);
  const auto store = [&](__m256i code, int64_t at) {
    const __m256i low = _mm256_shuffle_epi8(low_bytes, code);
    const __m256i high = _mm256_shuffle_epi8(high_bytes, code);
    const __m256i a = _mm256_unpacklo_epi8(low, high);
    const __m256i b = _mm256_unpackhi_epi8(low, high);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at),
                        _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at + 32),
                        _mm256_permute2x128_si256(a, b, 0x31));
  };
  store(first, 0);
  store(second, 16);
}

}  // namespace

template <typename T>
void nf4_quantize_blocks(const T* x, int64_t num_blocks, uint8_t* codes, float* absmax) {
  for (int64_t block = 0; block < num_blocks; ++block) {
    __m256 values[kVectors];
    for (int i = 0; i < kVectors; ++i) values[i] = load(x + block * kNf4Block + kLanes * i);
    const float largest = horizontal_absmax(values);
    absmax[block] = largest;
    const __m256 reciprocal =
        _mm256_set1_ps(1.0f / (largest < kNf4MinAbsmax ? kNf4MinAbsmax : largest));
    __m256i code[kVectors];
    for (int i = 0; i < kVectors; ++i) code[i] = find_codes(_mm256_mul_ps(values[i], reciprocal));
    const __m256i bytes = _mm256_packus_epi16(pack_32(code[0], code[1], code[2], code[3]),
                                              pack_32(code[4], code[5], code[6], code[7]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + block * (kNf4Block / 2)),
                        _mm256_permute4x64_epi64(bytes, _MM_SHUFFLE(3, 1, 2, 0)));
  }
}

template <typename T>
void nf4_dequantize_blocks(const uint8_t* codes, const float* absmax, int64_t num_blocks, T* out) {
  for (int64_t block = 0; block < num_blocks; ++block) {
    const __m256 scale = _mm256_set1_ps(absmax[block]);
    const __m256 low = _mm256_mul_ps(_mm256_loadu_ps(kNf4Tables.values), scale);
    const __m256 high = _mm256_mul_ps(_mm256_loadu_ps(kNf4Tables.values + kLanes), scale);
    const uint8_t* block_codes = codes + block * (kNf4Block / 2);
    T* block_out = out + block * kNf4Block;
    if constexpr (std::is_same_v<T, float>) {
      look_up(low, high, block_codes, block_out);
    } else {
      look_up(round_bits<T>(low), round_bits<T>(high), block_codes,
              reinterpret_cast<uint16_t*>(block_out));
    }
  }
}

template void nf4_quantize_blocks(const float*, int64_t, uint8_t*, float*);
template void nf4_quantize_blocks(const bf16*, int64_t, uint8_t*, float*);
template void nf4_quantize_blocks(const fp16*, int64_t, uint8_t*, float*);
template void nf4_dequantize_blocks(const uint8_t*, const float*, int64_t, float*);
template void nf4_dequantize_blocks(const uint8_t*, const float*, int64_t, bf16*);
template void nf4_dequantize_blocks(const uint8_t*, const float*, int64_t, fp16*);

}  // namespace rung::kernels::cpu::avx2
