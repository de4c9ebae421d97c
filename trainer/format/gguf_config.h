// What model a GGUF file holds, and the config.json and generation_config.json that say so.
//
// Architectures: llama (which Mistral models use as well), qwen2, qwen3; others are refused by
// name. What no key says follows from the tensors, as in llama.cpp: the vocabulary size, biases, a
// tied head (no output.weight). config.json is written in the dialect of transformers 4, which 5
// reads too. Source of the keys: ggml docs/gguf.md, llama.cpp llama-arch.cpp.
#pragma once

#include "base/json.h"
#include "format/dtype.h"
#include "format/gguf.h"
#include "format/model_config.h"

namespace rung::format {

// The names of safetensors' types in config.json: "bfloat16", "float16", "float32".
std::string torch_dtype_name(DType dtype);

// Throws Error: kConfig where the model is not supported, kDamaged where keys are malformed or
// contradict each other.
ModelConfig read_gguf_config(const GgufFile& file, DType dtype);

// `pad_token_id` is null where the model has none.
Json make_config_json(const ModelConfig& config, const Json& pad_token_id);
Json make_generation_config_json(const ModelConfig& config, const Json& pad_token_id);

}  // namespace rung::format
