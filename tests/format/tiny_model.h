// A model folder of a few kilobytes for tests: a one-layer Llama whose weights are zeros.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/model_folder.h"
#include "format/safetensors.h"
#include "tests/support/temp_dir.h"

namespace rung::format {

inline nlohmann::json tiny_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"vocab_size", 10},
          {"hidden_size", 8},
          {"intermediate_size", 12},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1}};
}

using Shapes = std::map<std::string, std::vector<int64_t>>;

// The tensors that `config` asks for.
inline Shapes shapes_of(const nlohmann::json& config) {
  const rung::testing::TempDir dir;
  return expected_tensors(read_model_config(dir.write("config.json", config.dump())));
}

inline void write_zeros(const std::filesystem::path& path, const Shapes& shapes,
                        DType dtype = DType::kBF16) {
  std::map<std::string, std::vector<std::byte>> data;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, shape] : shapes) {
    const TensorSpec spec{.name = name, .dtype = dtype, .shape = shape};
    data[name].resize(static_cast<size_t>(spec.num_bytes()));
    tensors.push_back({.name = name, .dtype = dtype, .shape = shape, .data = data[name]});
  }
  write_safetensors(path, std::move(tensors), {{"format", "pt"}});
}

}  // namespace rung::format
