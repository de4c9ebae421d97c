// Writes the weights of a Hugging Face model folder, one tensor after another, so that never more
// than one of them is in memory.
//
// A safetensors header precedes its data, so the names, types and shapes of all tensors are given
// up front; the data then follows in `order()`. One shard is named model.safetensors, several
// model-0000i-of-0000N.safetensors with model.safetensors.index.json. It writes no config.json or
// tokenizer files, and does not publish atomically: give it a folder that base/publish.h publishes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "format/safetensors_header.h"

namespace rung::format {

inline constexpr int64_t kDefaultMaxShardBytes = 5'000'000'000;

class ModelWriter {
 public:
  // Plans the shards: tensors keep the given order between shards; a shard is closed where the next
  // tensor would take its data past `max_shard_bytes` (a larger tensor gets a shard of its own).
  // `dir` must exist. Throws Error kDamaged on I/O errors (disk full).
  ModelWriter(std::filesystem::path dir, std::vector<TensorSpec> tensors,
              int64_t max_shard_bytes = kDefaultMaxShardBytes);
  ~ModelWriter();
  ModelWriter(const ModelWriter&) = delete;
  ModelWriter& operator=(const ModelWriter&) = delete;

  // Write the tensors in this order (inside a shard: element size descending, then name).
  const std::vector<TensorSpec>& order() const { return order_; }

  // Appends bytes of tensor `name`, which must be the next unfinished one of order(); a large
  // tensor may be given in several calls. Asserts order and total size.
  void write(const std::string& name, std::span<const std::byte> data);

  // After the last tensor: syncs the shards and writes the index where there are several.
  void finish();

 private:
  struct Shard {
    std::filesystem::path path;
    size_t begin = 0;  // range in order_
    size_t end = 0;
    int64_t data_bytes = 0;
  };
  void plan_shards(std::vector<TensorSpec> tensors, int64_t max_shard_bytes);
  void open_shard();
  void advance_over_full_tensors();
  void write_index() const;

  std::filesystem::path dir_;
  std::vector<TensorSpec> order_;
  std::vector<Shard> shards_;
  std::unique_ptr<class OutputFile> file_;  // the shard being written
  size_t shard_idx_ = 0;
  size_t tensor_idx_ = 0;       // in order_
  int64_t tensor_written_ = 0;  // bytes of the current tensor
};

}  // namespace rung::format
