// A Hugging Face model folder: config.json, one or several safetensors shards, tokenizer files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "format/model_config.h"
#include "format/safetensors.h"

namespace rung::format {

// Where `base_model` lies: the folder itself, or for "org/name" the newest snapshot in the local
// Hugging Face cache
// ($HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub). Throws Error kConfig with the `hf
// download` line.
std::filesystem::path find_model_folder(const std::string& base_model);

class ModelFolder {
 public:
  // Opens every shard, checks the index, and checks the name and shape of every tensor against
  // config.json. Allocates nothing of the size of the weights.
  explicit ModelFolder(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  const ModelConfig& config() const { return config_; }

  bool has(const std::string& name) const;
  const TensorInfo& info(
      const std::string& name) const;  // throws Error kDamaged naming the tensor where absent
  void read(const std::string& name, int64_t begin, std::span<std::byte> out) const;
  std::vector<std::string> names() const;

 private:
  std::filesystem::path path_;
  ModelConfig config_;
  std::vector<SafetensorsFile> shards_;
  std::map<std::string, size_t> shard_of_;
};

// The tensors that a model of this configuration has: name -> shape ([out, in] for linears).
// lm_head.weight is absent where embeddings are tied.
std::map<std::string, std::vector<int64_t>> expected_tensors(const ModelConfig& config);

}  // namespace rung::format
