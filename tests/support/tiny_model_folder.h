// A complete model folder of 100 kB: two Llama blocks with random weights, the byte tokenizer
// (tests/data/byte_tokenizer.h) and a chat template.
#pragma once

#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "format/model_folder.h"
#include "format/safetensors.h"
#include "tests/data/byte_tokenizer.h"
#include "tests/support/temp_dir.h"

namespace rung::testing {

inline constexpr int64_t kTinyContext = 128;  // tokens

inline nlohmann::json tiny_model_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", kByteVocab},
          {"hidden_size", 32},
          {"intermediate_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"max_position_embeddings", kTinyContext},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", true},
          {"bos_token_id", kBos},
          {"eos_token_id", kEos},
          {"torch_dtype", "float32"}};
}

inline const char* const kTinyChatTemplate =
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

// Random fp32 weights for every tensor that `config` asks for: norms near 1, matrices with the
// deviation 1/sqrt(in), embeddings large enough that logits differ.
inline void write_random_weights(const std::filesystem::path& path, const nlohmann::json& config) {
  const TempDir dir;
  const auto shapes =
      format::expected_tensors(format::read_model_config(dir.write("config.json", config.dump())));
  std::map<std::string, std::vector<float>> values;
  std::vector<format::TensorToWrite> tensors;
  for (const auto& [name, shape] : shapes) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    const bool is_norm = shape.size() == 1;
    const double deviation = is_norm ? 0.1 : 1.0 / std::sqrt(static_cast<double>(shape.back()));
    const CounterRandom random(7, stream_of(name));
    std::vector<float>& data = values[name];
    for (int64_t i = 0; i < count; ++i) {
      const double noise = deviation * random.normal(static_cast<uint64_t>(i));
      data.push_back(static_cast<float>(is_norm ? 1.0 + noise : noise));
    }
    tensors.push_back({.name = name,
                       .dtype = format::DType::kF32,
                       .shape = shape,
                       .data = std::as_bytes(std::span(data))});
  }
  format::write_safetensors(path, std::move(tensors), {{"format", "pt"}});
}

// Writes the folder `name` into `dir` and returns its path.
inline std::filesystem::path write_tiny_model(const TempDir& dir,
                                              const std::string& name = "model") {
  const TempDir tokenizer;
  write_byte_tokenizer(tokenizer);
  dir.write(name + "/tokenizer.json", tokenizer.read("tokenizer.json"));
  const nlohmann::json tokenizer_config = {
      {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"chat_template", kTinyChatTemplate}};
  dir.write(name + "/tokenizer_config.json", tokenizer_config.dump());
  dir.write(name + "/config.json", tiny_model_config().dump());
  write_random_weights(dir / name / "model.safetensors", tiny_model_config());
  return dir / name;
}

}  // namespace rung::testing
