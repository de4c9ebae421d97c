// Random transformers of a few kilobytes and random documents, for tests of everything that runs a
// model.
#pragma once

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/loader.h"
#include "format/model_folder.h"
#include "format/safetensors.h"
#include "kernels/dtype.h"
#include "tests/support/temp_dir.h"

namespace rung::testing {

inline constexpr int64_t kTinyVocab = 61;

// Untied, grouped heads, biases in no linear.
inline nlohmann::json tiny_llama() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"vocab_size", kTinyVocab},
          {"hidden_size", 32},
          {"intermediate_size", 56},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 256},
          {"eos_token_id", 2}};
}

// Heads that are normalised and wider than hidden / heads, tied embeddings.
inline nlohmann::json tiny_qwen3() {
  nlohmann::json config = tiny_llama();
  config["architectures"] = {"Qwen3ForCausalLM"};
  config["head_dim"] = 16;
  config["tie_word_embeddings"] = true;
  return config;
}

// Biases in q, k and v.
inline nlohmann::json tiny_qwen2() {
  nlohmann::json config = tiny_llama();
  config["architectures"] = {"Qwen2ForCausalLM"};
  return config;
}

// tiny_llama() with so many blocks.
inline nlohmann::json deep_llama(int64_t num_layers) {
  nlohmann::json config = tiny_llama();
  config["num_hidden_layers"] = num_layers;
  return config;
}

// Paths of the linears of so many blocks.
inline std::vector<std::string> all_linears(int64_t num_layers) {
  std::vector<std::string> modules;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                             "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      modules.push_back("model.layers." + std::to_string(layer) + "." + name);
    }
  }
  return modules;
}

// Weights that keep the activations of order one: norms near 1, linears N(0, 1 / in).
inline std::vector<float> random_weight(const std::string& name, std::span<const int64_t> shape,
                                        uint64_t seed) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  const CounterRandom random(seed, stream_of(name));
  const bool norm = name.find("norm") != std::string::npos;
  const double deviation = shape.size() == 1 ? 0.1
                           : name == "model.embed_tokens.weight"
                               ? 1.0
                               : 1.0 / std::sqrt(static_cast<double>(shape.back()));
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>((norm ? 1.0 : 0.0) + deviation * random.normal(i));
  }
  return values;
}

// config.json and model.safetensors in `dir`, as kF32 or kBF16.
inline void write_random_model(const std::filesystem::path& dir, const nlohmann::json& config,
                               uint64_t seed = 1, format::DType dtype = format::DType::kF32) {
  std::ofstream(dir / "config.json") << config.dump();
  std::map<std::string, std::vector<std::byte>> data;
  std::vector<format::TensorToWrite> tensors;
  for (const auto& [name, shape] :
       format::expected_tensors(format::read_model_config(dir / "config.json"))) {
    const std::vector<float> values = random_weight(name, shape, seed);
    std::vector<std::byte>& bytes = data[name];
    if (dtype == format::DType::kF32) {
      const auto raw = std::as_bytes(std::span(values));
      bytes.assign(raw.begin(), raw.end());
    } else {
      for (const float value : values) {
        const auto rounded = kernels::from_float<kernels::bf16>(value);
        const auto raw = std::as_bytes(std::span(&rounded, 1));
        bytes.insert(bytes.end(), raw.begin(), raw.end());
      }
    }
    tensors.push_back({.name = name, .dtype = dtype, .shape = shape, .data = bytes});
  }
  format::write_safetensors(dir / "model.safetensors", std::move(tensors), {{"format", "pt"}});
}

// A model folder that exists while the object does.
class TinyFolder {
 public:
  explicit TinyFolder(const nlohmann::json& config, format::DType dtype = format::DType::kF32) {
    write_random_model(dir_.path(), config, /*seed=*/1, dtype);
    folder_ = std::make_unique<format::ModelFolder>(dir_.path());
  }
  const format::ModelFolder& folder() const { return *folder_; }
  const format::ModelConfig& config() const { return folder_->config(); }
  const std::filesystem::path& path() const { return dir_.path(); }

 private:
  TempDir dir_;
  std::unique_ptr<format::ModelFolder> folder_;
};

// Documents of these lengths with random ids; about a third of the tokens is not learnt.
inline std::vector<data::Example> random_examples(std::span<const int64_t> lengths, uint64_t seed) {
  std::vector<data::Example> examples;
  for (size_t d = 0; d < lengths.size(); ++d) {
    const CounterRandom random(seed, d);
    data::Example example;
    for (int64_t i = 0; i < lengths[d]; ++i) {
      const auto counter = static_cast<uint64_t>(i);
      example.input_ids.push_back(static_cast<int32_t>(random.below(2 * counter, kTinyVocab)));
      example.labels.push_back(random.below(2 * counter + 1, 3) == 0 ? data::kIgnore
                                                                     : example.input_ids.back());
    }
    examples.push_back(std::move(example));
  }
  return examples;
}

// The documents of `examples` as one step: each entry of `split` lists those of a micro-batch.
inline data::StepBatch step_batch(std::span<const data::Example> examples,
                                  const std::vector<std::vector<int64_t>>& split) {
  data::StepBatch batch;
  for (const std::vector<int64_t>& documents : split) {
    batch.micro_batches.push_back(data::make_micro_batch(examples, documents));
  }
  return batch;
}

}  // namespace rung::testing
