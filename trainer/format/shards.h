// The safetensors files of one model folder as one set of tensors: model.safetensors, or the shards
// that model.safetensors.index.json names.
//
// Rules for the index, which may come from a stranger: a shard is a plain file name inside the
// folder, it exists, it holds every tensor that the index puts there, and no tensor lies in two
// shards. `total_size` is not looked at: writers disagree on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "format/safetensors.h"

namespace rung::format {

// The files that hold the weights of a model folder, by the rule above, sorted by name; others in
// it do not count. None where there are no weights. Throws Error kDamaged where the index is
// malformed.
std::vector<std::filesystem::path> weight_files(const std::filesystem::path& folder);

class Shards {
 public:
  // Throws Error: kConfig where a file is absent, kDamaged where a rule is broken.
  explicit Shards(std::filesystem::path folder);

  bool has(const std::string& name) const { return shard_of_.contains(name); }
  const TensorInfo& info(const std::string& name) const;  // throws kDamaged where absent
  void read(const std::string& name, int64_t begin, std::span<std::byte> out) const;
  std::vector<std::string> names() const;  // sorted
  // The file of tensor `name` for messages; the folder where there is no such tensor.
  std::string place_of(const std::string& name) const;

  // Takes a tensor out of the set (one that is not to be loaded).
  void forget(const std::string& name) { shard_of_.erase(name); }

 private:
  void open_shard(const std::filesystem::path& path);
  void check_index() const;

  std::filesystem::path folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, size_t> shard_of_;
};

}  // namespace rung::format
