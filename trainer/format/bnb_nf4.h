// One 4-bit weight of a bitsandbytes checkpoint: its packed tensor and the companions beside it.
//
//   <w>                                     U8  [ceil(n / 2), 1], two values a byte, high nibble
//                                           first; n = out * in
//   <w>.absmax                              F32 [blocks], or U8 codes with double quantisation;
//                                           blocks = ceil(n / 64)
//   <w>.quant_map                           F32 [16], the NF4 table
//   <w>.nested_absmax, .nested_quant_map    F32 [ceil(blocks / 256)], F32 [256]; both only with
//                                           double quantisation
//   <w>.quant_state.bitsandbytes__nf4       U8, JSON: shape, blocksize, dtype, nested_offset, ...
//
// Source: bitsandbytes functional.py, QuantState.as_dict. FP4, other block sizes and other storage
// types are refused by name. It checks and describes; decoding is kernels/nf4.h's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/shards.h"

namespace rung::format {

struct BnbNf4Weight {
  std::vector<int64_t> shape;  // [out, in] of the weight it stands for
  std::string dtype;           // type it was quantised from and decodes to: "bfloat16"
  bool double_quant = false;
  float offset = 0.0F;  // absmax = nested_quant_map[code] * nested_absmax + offset
  // Tensor names; the two nested ones are empty without double quantisation.
  std::string packed;
  std::string absmax;
  std::string quant_map;
  std::string nested_absmax;
  std::string nested_quant_map;

  int64_t num_elements() const { return shape[0] * shape[1]; }
  int64_t num_blocks() const { return (num_elements() + 63) / 64; }
};

// True where `weight` has 4-bit companions.
bool is_bnb_4bit(const Shards& shards, const std::string& weight);

// Throws Error: kConfig for a variant that is not supported, kDamaged where the companions
// contradict each other or `expected_shape`.
BnbNf4Weight read_bnb_nf4(const Shards& shards, const std::string& weight,
                          const std::vector<int64_t>& expected_shape);

// The names of the tensors above other than `weight` itself.
std::vector<std::string> companions_of(const BnbNf4Weight& weight);

}  // namespace rung::format
