// Dropout in front of a LoRA adapter, from counters instead of a stored or replayed random state.
//
// Whether an element is kept is a function of (row key, module key, column) alone, and a row key
// one of (seed, step, document, position in the document). So the mask does not depend on how a
// batch was split, packed, retried or recomputed, and no mask is stored. Kept elements are divided
// by 1 - p. p is resolved to multiples of 2^-24.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launchers queue work on
// `stream` and return. Nothing here allocates. Results depend on neither threads, processor nor
// device, but for which NaN a NaN becomes.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/host_device.h"

namespace rung::kernels {

// A bijection in which every input bit changes half of the output bits (splitmix64's finaliser;
// Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
RUNG_HOST_DEVICE constexpr uint64_t mix_bits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// `document` numbers documents within the data set or the step, `position` tokens within a
// document.
constexpr uint64_t dropout_row_key(uint64_t seed, int64_t step, int64_t document,
                                   int64_t position) {
  constexpr uint64_t kGamma = 0x9e3779b97f4a7c15u;
  uint64_t key = mix_bits(seed + kGamma);
  key = mix_bits(key + static_cast<uint64_t>(step) + kGamma);
  key = mix_bits(key + static_cast<uint64_t>(document) + kGamma);
  return mix_bits(key + static_cast<uint64_t>(position) + kGamma);
}

// A key for module `module` of layer `layer`, where modules are numbered. Any 64 well-mixed bits
// serve as a module key.
constexpr uint64_t dropout_module_key(int64_t layer, int64_t module) {
  constexpr uint64_t kGamma = 0x9e3779b97f4a7c15u;
  return mix_bits(mix_bits(static_cast<uint64_t>(layer) + kGamma) + static_cast<uint64_t>(module));
}

// The key of one row in front of one module.
RUNG_HOST_DEVICE constexpr uint64_t dropout_key(uint64_t row_key, uint64_t module_key) {
  return mix_bits(row_key ^ module_key);
}

// 32 bits for a column: a keyed bijection of 32 bits, cheap in vector registers. The two halves of
// the key enter at different places, so rows do not repeat each other's sequence shifted.
RUNG_HOST_DEVICE constexpr uint32_t dropout_draw(uint64_t key, uint32_t column) {
  uint32_t x = column * 0x9e3779b9u + static_cast<uint32_t>(key);
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15) ^ static_cast<uint32_t>(key >> 32)) * 0x846ca68bu;
  return (x ^ (x >> 16)) * 0x9e3779b1u;
}

// The 24 bits of a draw that decide.
constexpr uint32_t dropout_bits(uint64_t key, uint32_t column) {
  return dropout_draw(key, column) >> 8;
}

// An element is kept where its bits reach this threshold, below 2^24.
constexpr uint32_t dropout_threshold(float p) {
  return static_cast<uint32_t>(static_cast<double>(p) * 0x1p24 + 0.5);
}

// What a pass in front of one module applies to every row.
struct DropoutMask {
  uint64_t module_key = 0;
  uint32_t threshold = 0;  // of draws
  float scale = 1.0f;      // of kept elements
};

constexpr DropoutMask dropout_mask(uint64_t module_key, float p) {
  return {
      .module_key = module_key, .threshold = dropout_threshold(p) << 8, .scale = 1.0f / (1.0f - p)};
}

namespace cpu {

// Given x [rows, cols] with x_stride elements between rows, and row_keys [rows], sets
// y [rows, cols] (dense) to x / (1 - p) where kept, else 0. 0 <= p < 1. T: float, bf16, fp16.
template <typename T>
void lora_dropout(const T* x, const uint64_t* row_keys, uint64_t module_key, float p, int64_t rows,
                  int64_t cols, int64_t x_stride, T* y);

// The backward pass: dx [rows, cols] (dense) += g / (1 - p) where kept, for g [rows, cols] with
// g_stride elements between rows. The quotient is float, and the sum is rounded once.
template <typename T>
void lora_dropout_accumulate(const T* g, const uint64_t* row_keys, uint64_t module_key, float p,
                             int64_t rows, int64_t cols, int64_t g_stride, T* dx);

}  // namespace cpu

// Fast where cols and the stride are multiples of 8 (4 in float) and operands are aligned to 16
// bytes; all others are served element by element. Throw std::invalid_argument beyond 10^9 rows or
// 10^8 columns.
namespace cuda {

// As cpu::lora_dropout, bit for bit.
template <typename T>
void lora_dropout(const T* x, const uint64_t* row_keys, uint64_t module_key, float p, int64_t rows,
                  int64_t cols, int64_t x_stride, T* y, Stream stream);

// As cpu::lora_dropout_accumulate, bit for bit.
template <typename T>
void lora_dropout_accumulate(const T* g, const uint64_t* row_keys, uint64_t module_key, float p,
                             int64_t rows, int64_t cols, int64_t g_stride, T* dx, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
