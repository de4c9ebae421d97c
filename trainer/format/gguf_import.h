// A GGUF file as a Hugging Face model folder: config.json, generation_config.json, tokenizer.json,
// tokenizer_config.json and model.safetensors (shards where it is large).
//
// Every value is dequantised to float as ggml does and rounded once to the output type. One tensor
// is in memory at a time, and of a large one a part. The folder appears complete or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "format/dtype.h"
#include "format/model_writer.h"

namespace rung::format {

struct ImportOptions {
  std::filesystem::path gguf;
  std::filesystem::path out_dir;  // must not exist, or be an empty folder
  DType dtype = DType::kBF16;     // or kF16, kF32
  int64_t max_shard_bytes = kDefaultMaxShardBytes;
};

struct ImportSummary {
  std::string architecture;  // "LlamaForCausalLM"
  int64_t num_tensors = 0;
  int64_t num_parameters = 0;
  int64_t num_tokens = 0;
  std::vector<std::string> warnings;  // a line each
};

// Throws Error: kConfig where the model is not supported, a value does not fit float16, or out_dir
// is in use; kDamaged where the file is damaged or the disk is full.
ImportSummary import_gguf(const ImportOptions& options);

}  // namespace rung::format
