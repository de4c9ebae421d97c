// A LoRA adapter folder as PEFT writes and reads it: adapter_model.safetensors +
// adapter_config.json.
//
// A module "model.layers.0.self_attn.q_proj" has two tensors,
// base_model.model.<module>.lora_A.weight [r, in] and ....lora_B.weight [out, r]; its output gains
// scaling * B(A(x)). Only the keys that every PEFT release knows are written: old ones raise on
// unknown keys. Source: huggingface/peft, tuners/lora/config.py and utils/save_and_load.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rung::format {

struct AdapterConfig {
  int64_t r = 8;
  double lora_alpha = 8.0;
  double lora_dropout = 0.0;
  bool use_rslora = false;
  std::vector<std::string> target_modules;  // suffixes; empty where target_regex is set
  std::string target_regex;                 // "all-linear" or a full-match expression
  std::string base_model_name_or_path;

  double scaling() const;  // alpha / r, or alpha / sqrt(r) with rslora
};

// One LoRA pair in fp32. Module is the path in the HF model: "model.layers.0.self_attn.q_proj".
struct AdapterTensor {
  std::string module;
  int64_t in_features = 0;
  int64_t out_features = 0;
  std::vector<float> a;  // [r, in]
  std::vector<float> b;  // [out, r]
};

struct AdapterFolder {
  AdapterConfig config;
  std::vector<AdapterTensor> tensors;  // sorted by module where read
};

// Reads F32, F16 and BF16 tensors. Throws Error: kConfig where the folder is absent or uses what
// rung does not support (named: DoRA, modules_to_save, rank_pattern, ...), kDamaged where it is
// malformed.
AdapterFolder read_adapter(const std::filesystem::path& dir);

// The configuration alone: all that planning a run needs.
AdapterConfig read_adapter_config(const std::filesystem::path& dir);

// Writes both files into `dir` (which exists). The tensor file depends on the tensors alone.
void write_adapter(const std::filesystem::path& dir, const AdapterFolder& adapter);

}  // namespace rung::format
