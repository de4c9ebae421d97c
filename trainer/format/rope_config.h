// The rotary embedding part of config.json, both dialects: v4 `rope_theta` and `rope_scaling`, v5
// `rope_parameters`. Rules of transformers 5, modeling_rope_utils.py; types other than default,
// linear, llama3 and yarn are refused by name.
#pragma once

#include <cstdint>

#include "format/json_fields.h"
#include "format/model_config.h"

namespace rung::format {

RopeConfig read_rope_config(const JsonFields& config, int64_t max_position_embeddings);

}  // namespace rung::format
