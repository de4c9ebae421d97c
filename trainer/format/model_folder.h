// A Hugging Face model folder: config.json, one or several safetensors shards, tokenizer files.
//
// Every tensor is checked against config.json before anything of the size of the weights is
// allocated. Ignored: `*.rotary_emb.inv_freq` (recomputed) and a duplicate lm_head.weight of tied
// models. Any other tensor that config.json does not explain is an error: it means that the
// configuration describes another model. Missing is an error too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "format/bnb_nf4.h"
#include "format/model_config.h"
#include "format/shards.h"

namespace rung::format {

// Where `base_model` lies: the folder itself, or for "org/name" its snapshot in the local Hugging
// Face cache ($HF_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub,
// ~/.cache/huggingface/hub): the one that refs/main names, else the newest. Throws Error kConfig:
// with the nearest folder that is there where a path was meant, else with the `hf download` line.
std::filesystem::path find_model_folder(const std::string& base_model);

class ModelFolder {
 public:
  // Opens every shard, checks the index, and checks the name and shape of every tensor against
  // config.json. Allocates nothing of the size of the weights.
  explicit ModelFolder(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  // eos_token_ids are those of generation_config.json where it has some; dtype is filled in.
  const ModelConfig& config() const { return config_; }

  bool has(const std::string& name) const { return shards_.has(name); }
  // Throws Error kDamaged naming the tensor where absent.
  const TensorInfo& info(const std::string& name) const { return shards_.info(name); }
  void read(const std::string& name, int64_t begin, std::span<std::byte> out) const {
    shards_.read(name, begin, out);
  }
  std::vector<std::string> names() const { return shards_.names(); }  // sorted; no ignored ones

  // The 4-bit weights of a bitsandbytes checkpoint by name ("...q_proj.weight"); empty otherwise.
  const std::map<std::string, BnbNf4Weight>& nf4_weights() const { return nf4_weights_; }

 private:
  void check_tensors();
  void check_dense(const std::string& name, const std::vector<int64_t>& shape) const;
  void read_generation_config();

  std::filesystem::path path_;
  ModelConfig config_;
  Shards shards_;
  std::map<std::string, BnbNf4Weight> nf4_weights_;
};

// The tensors that a model of this configuration has: name -> shape ([out, in] for linears).
// lm_head.weight is absent where embeddings are tied.
std::map<std::string, std::vector<int64_t>> expected_tensors(const ModelConfig& config);

}  // namespace rung::format
