#include "format/model_writer.h"

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/checked.h"
#include "format/output_file.h"

namespace rung::format {

namespace {

// transformers refuses to load files without it.
const std::map<std::string, std::string> kMetadata = {{"format", "pt"}};

std::string shard_name(size_t shard_idx, size_t num_shards) {
  if (num_shards == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard_idx + 1, num_shards);
  return name;
}

}  // namespace

ModelWriter::ModelWriter(std::filesystem::path dir, std::vector<TensorSpec> tensors,
                         int64_t max_shard_bytes)
    : dir_(std::move(dir)) {
  plan_shards(std::move(tensors), max_shard_bytes);
  open_shard();
}

ModelWriter::~ModelWriter() = default;

void ModelWriter::plan_shards(std::vector<TensorSpec> tensors, int64_t max_shard_bytes) {
  order_ = std::move(tensors);
  shards_.emplace_back();
  for (size_t i = 0; i < order_.size(); ++i) {
    const int64_t bytes = order_[i].num_bytes();
    Shard* shard = &shards_.back();
    const int64_t bytes_with_it = add_or_throw(shard->data_bytes, bytes, order_[i].name);
    if (bytes > 0 && bytes_with_it > max_shard_bytes && shard->end > shard->begin) {
      shard = &shards_.emplace_back(Shard{.path = {}, .begin = i, .end = i, .data_bytes = 0});
    }
    shard->end = i + 1;
    shard->data_bytes += bytes;
  }
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].path = dir_ / shard_name(i, shards_.size());
    std::sort(order_.begin() + static_cast<ptrdiff_t>(shards_[i].begin),
              order_.begin() + static_cast<ptrdiff_t>(shards_[i].end), is_written_before);
  }
}

void ModelWriter::open_shard() {
  const Shard& shard = shards_[shard_idx_];
  const std::vector<TensorSpec> specs(order_.begin() + static_cast<ptrdiff_t>(shard.begin),
                                      order_.begin() + static_cast<ptrdiff_t>(shard.end));
  file_ = std::make_unique<OutputFile>(shard.path);
  file_->write(make_safetensors_header(specs, kMetadata));
  advance_over_full_tensors();
}

void ModelWriter::write(const std::string& name, std::span<const std::byte> data) {
  if (data.empty()) return;  // a tensor without elements was passed over already
  assert(tensor_idx_ < order_.size() && order_[tensor_idx_].name == name);
  tensor_written_ += static_cast<int64_t>(data.size());
  assert(tensor_written_ <= order_[tensor_idx_].num_bytes());
  file_->write(data);
  advance_over_full_tensors();
}

// Goes to the first tensor that lacks bytes, opening its shard where it begins one.
void ModelWriter::advance_over_full_tensors() {
  const Shard& shard = shards_[shard_idx_];
  while (tensor_idx_ < shard.end && tensor_written_ == order_[tensor_idx_].num_bytes()) {
    ++tensor_idx_;
    tensor_written_ = 0;
  }
  if (tensor_idx_ < shard.end) return;
  file_->sync();
  if (shard_idx_ + 1 == shards_.size()) return;
  ++shard_idx_;
  open_shard();
}

void ModelWriter::finish() {
  assert(tensor_idx_ == order_.size());
  file_.reset();
  if (shards_.size() > 1) write_index();
}

void ModelWriter::write_index() const {
  int64_t total_bytes = 0;
  nlohmann::json weight_map = nlohmann::json::object();
  for (const Shard& shard : shards_) {
    total_bytes += shard.data_bytes;
    for (size_t i = shard.begin; i < shard.end; ++i) {
      weight_map[order_[i].name] = shard.path.filename().string();
    }
  }
  const nlohmann::json index = {{"metadata", {{"total_size", total_bytes}}},
                                {"weight_map", std::move(weight_map)}};
  OutputFile file(dir_ / "model.safetensors.index.json");
  file.write(index.dump(2) + "\n");
  file.sync();
}

}  // namespace rung::format
