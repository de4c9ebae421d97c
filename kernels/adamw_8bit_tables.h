// Constants of 8-bit AdamW that the CPU and the CUDA path share. Internal to kernels/adamw_8bit*.
#pragma once

#include "kernels/dynamic_map.h"

namespace rung::kernels {

inline constexpr DynamicCoder kMCoder{MapSign::kSigned};
inline constexpr DynamicCoder kVCoder{MapSign::kUnsigned};

// An absmax between 0 and this is stored as this, so that its reciprocal is finite.
inline constexpr float kAdamW8bitMinAbsmax = 1e-38f;

}  // namespace rung::kernels
