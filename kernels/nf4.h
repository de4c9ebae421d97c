// NF4: 4-bit codes with one float scale per block of 64 consecutive elements (row-major over the
// whole tensor, not per row), as bitsandbytes stores it.
//
// value(i) = kNf4Values[code(i)] * absmax[i / 64]; code(i) is the high nibble of byte i/2 when i is
// even. Double quantisation ("nested") stores absmax itself as 8-bit codes:
// absmax[b] = nested_map[absmax_codes[b]] * nested_absmax[b / 256] + nested_offset.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launchers queue work on
// `stream` and return. Nothing here allocates. Results depend on neither threads nor processor.
//
// Source: QLoRA, https://arxiv.org/abs/2305.14314. The bytes are those of bitsandbytes 0.50 on a
// CPU, block scales clamped at 1e-38 included; tests/kernels/nf4_golden_test.cpp lists what
// differs.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels {

inline constexpr int64_t kNf4Block = 64;         // elements per scale
inline constexpr int64_t kNf4NestedBlock = 256;  // scales per second-level scale

// A quantised tensor. Plain: `absmax` is set and the four fields after it are not read.
// Nested: `absmax` is null and those four are set.
struct Nf4View {
  const uint8_t* codes = nullptr;         // [ceil(num_elements / 2)]
  const float* absmax = nullptr;          // [blocks], blocks = ceil(num_elements / 64)
  const uint8_t* absmax_codes = nullptr;  // [blocks]
  const float* nested_absmax = nullptr;   // [ceil(blocks / 256)]
  const float* nested_map = nullptr;      // [256]
  float nested_offset = 0.0f;
  int64_t num_elements = 0;
};

// Rows of a wider buffer: element i of the tensor goes to (i / cols) * stride + i % cols. What lies
// between cols and stride is left alone.
struct Nf4Rows {
  int64_t cols = 0;
  int64_t stride = 0;  // elements between rows, at least cols
};

namespace cpu {

// Given x [n], sets codes [ceil(n / 2)] and absmax [ceil(n / 64)]. T: float, bf16, fp16.
// The low nibble of the last byte of an odd tensor is the code of 0.
template <typename T>
void nf4_quantize(const T* x, int64_t n, uint8_t* codes, float* absmax);

// Double quantisation: given absmax [num_blocks], sets absmax_codes [num_blocks],
// nested_absmax [ceil(num_blocks / 256)] and *nested_offset (the mean of absmax).
void nf4_quantize_absmax(const float* absmax, int64_t num_blocks, uint8_t* absmax_codes,
                         float* nested_absmax, float* nested_offset);

// Given w, sets out [w.num_elements], each value rounded to T. T: float, bf16, fp16.
template <typename T>
void nf4_dequantize(const Nf4View& w, T* out);

// The same values as rows of `out`. Fast where cols is a multiple of 64.
template <typename T>
void nf4_dequantize(const Nf4View& w, const Nf4Rows& rows, T* out);

// The signed dynamic 8-bit map [256], ascending: what `nested_map` is for tensors quantised here.
const float* nf4_nested_map();

}  // namespace cpu

// Throw std::invalid_argument for misaligned pointers: elements (x, out) are read and written in
// packets of 16 bytes, codes in packets of 4. Device allocators give more than that. Only rows, see
// below, may lie anywhere.
namespace cuda {

// As cpu::nf4_quantize, byte for byte. T: float, bf16, fp16.
template <typename T>
void nf4_quantize(const T* x, int64_t n, uint8_t* codes, float* absmax, Stream stream);

// As cpu::nf4_quantize_absmax, byte for byte; `nested_offset` is device memory, and so is
// `nested_map` [256] (a copy of cpu::nf4_nested_map()).
void nf4_quantize_absmax(const float* absmax, int64_t num_blocks, const float* nested_map,
                         uint8_t* absmax_codes, float* nested_absmax, float* nested_offset,
                         Stream stream);

// As cpu::nf4_dequantize, byte for byte.
template <typename T>
void nf4_dequantize(const Nf4View& w, T* out, Stream stream);

// The same. Fast where out is aligned to 16 bytes and cols and stride are multiples of 8 (4 where
// T is float); other rows are written element by element.
template <typename T>
void nf4_dequantize(const Nf4View& w, const Nf4Rows& rows, T* out, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
