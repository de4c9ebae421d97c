// The rotary embedding of a GGUF file: <arch>.rope.* keys and the tensor rope_freqs.weight.
//
// Llama 3.1 and later: the converter stores no parameters, but the tensor of the factors by which
// each frequency is divided. They are found again by computing the factors of the published
// parameters (low 1, high 4, trained length 8192) and comparing; others are refused.
// Source of the formula: llama.cpp convert_hf_to_gguf.py and transformers modeling_rope_utils.py.
#pragma once

#include <cstdint>
#include <string>

#include "format/gguf.h"
#include "format/model_config.h"

namespace rung::format {

inline constexpr const char* kRopeFactorsTensor = "rope_freqs.weight";

// `arch` is the prefix of the keys.
RopeConfig read_gguf_rope(const GgufFile& file, const std::string& arch, int64_t head_dim);

}  // namespace rung::format
