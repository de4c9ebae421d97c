// cos and sin of every position, for each RoPE kind of transformers' modeling_rope_utils.
#pragma once

#include "format/model_config.h"
#include "ops/rope.h"

namespace rung::model {

// Tables [positions, head_dim / 2] fp32 on the CPU (or unfilled on the meta device). default:
// theta^(-2i/d); linear: divided by factor; llama3: low frequencies divided, a smooth band between
// (Llama 3.1); yarn: interpolated by a ramp between beta_fast and beta_slow, scaled by the
// attention factor (https://arxiv.org/abs/2309.00071).
ops::RopeTable make_rope_table(const format::RopeConfig& rope, int64_t head_dim, int64_t positions,
                               c10::Device device);

}  // namespace rung::model
