// config.json of a Hugging Face model folder, both dialects (v4: rope_theta, rope_scaling,
// torch_dtype; v5: rope_parameters, dtype, layer_types), checked and with the class defaults filled
// in.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/json_fields.h"

namespace rung::format {

enum class Family { kLlama, kMistral, kQwen2, kQwen3 };
enum class RopeKind { kDefault, kLinear, kLlama3, kYarn };

struct RopeConfig {
  RopeKind kind = RopeKind::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  // llama3
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_position_embeddings = 0;  // llama3, yarn
  // yarn
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  std::optional<double> attention_factor;
  std::optional<double> mscale;
  std::optional<double> mscale_all_dim;
  bool truncate = true;
};

// quantization_config of a bitsandbytes checkpoint.
struct BnbConfig {
  bool double_quant = false;
};

struct ModelConfig {
  Family family = Family::kLlama;
  std::string architecture;  // "LlamaForCausalLM"
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  bool attention_bias = false;      // q, k, v
  bool attention_out_bias = false;  // o_proj (Llama with attention_bias has it, Qwen2 has not)
  bool mlp_bias = false;
  bool qk_norm = false;  // Qwen3
  std::optional<int64_t>
      sliding_window;  // in force on at least one layer; refused where shorter than sequence_len
  RopeConfig rope;
  std::optional<BnbConfig> bnb;
  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;
  std::string dtype = "bfloat16";  // as stored; empty where the file does not say
};

// Throws Error: kConfig where the file is absent or asks for what rung does not support (named),
// kDamaged where it is malformed or a number is out of range.
ModelConfig read_model_config(const std::filesystem::path& config_json);
// The same from its text; `where` stands in messages for the file.
ModelConfig read_model_config(const Json& json, const std::string& where);

// The token ids under `key` of a configuration file: one, a list, or none.
std::vector<int64_t> read_token_ids(const JsonFields& fields, std::string_view key);

}  // namespace rung::format
