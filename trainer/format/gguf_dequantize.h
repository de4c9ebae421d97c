// GGUF tensor data as floats, exactly as ggml computes it.
//
// Q4_0: x = d (q - 8). Q4_1: x = d q + m. Q8_0: x = d q; d and m are binary16, q integers, 32 of
// them a block. In the 4-bit types the low nibbles are the values 0..15 of a block, the high ones
// 16..31. Every product is exact in float. Source: ggml-quants.c (dequantize_row_*).
#pragma once

#include <cstddef>
#include <span>

#include "format/gguf_types.h"

namespace rung::format {

// Fills `out`, whole blocks long, from `stored`, which must hold exactly those blocks.
void dequantize(GgmlType type, std::span<const std::byte> stored, std::span<float> out);

}  // namespace rung::format
