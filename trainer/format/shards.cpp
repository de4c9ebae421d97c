#include "format/shards.h"

#include <cassert>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "format/json_fields.h"

namespace rung::format {

namespace {

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

[[noreturn]] void throw_no_weights(const std::filesystem::path& folder) {
  const bool has_pickle = std::filesystem::exists(folder / "pytorch_model.bin") ||
                          std::filesystem::exists(folder / "pytorch_model.bin.index.json");
  throw Error(ExitCode::kConfig,
              {.what = "the model folder has no weights",
               .got = has_pickle ? "pytorch_model.bin, a format that can run code when read" : "",
               .expected = "model.safetensors or model.safetensors.index.json",
               .hint = has_pickle ? "save the model again with safe_serialization=True" : "",
               .where = folder.string()});
}

}  // namespace

Shards::Shards(std::filesystem::path folder) : folder_(std::move(folder)) {
  const std::filesystem::path index_path = folder_ / "model.safetensors.index.json";
  // transformers prefers the single file too.
  if (std::filesystem::exists(folder_ / "model.safetensors")) {
    open_shard("model.safetensors");
  } else if (std::filesystem::exists(index_path)) {
    open_index(index_path);
  } else {
    throw_no_weights(folder_);
  }
}

void Shards::open_shard(const std::string& file_name) {
  files_.emplace_back(folder_ / file_name);
  for (const auto& entry : files_.back().tensors()) {
    const std::string& name = entry.first;
    if (shard_of_.emplace(name, files_.size() - 1).second) continue;
    throw Error(ExitCode::kDamaged, {.what = "tensor '" + name + "' lies in two shards",
                                     .got = place_of(name),
                                     .expected = "each tensor once",
                                     .where = files_.back().path().string()});
  }
}

void Shards::open_index(const std::filesystem::path& index_path) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  const Json json = read_json_file(index_path, {.max_bytes = kMaxBytes});
  const JsonFields index(json, index_path.string());
  const Json* weight_map = index.find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object()) {
    index.damaged("weight_map", "an object from tensor to file name");
  }
  std::set<std::string> file_names;
  for (const auto& [name, file] : weight_map->items()) {
    const std::string* file_name = file.get_ptr<const std::string*>();
    if (file_name == nullptr || !is_plain_file_name(*file_name)) {
      throw Error(ExitCode::kDamaged, {.what = "the shard of tensor '" + name + "' has a bad name",
                                       .got = file.dump(-1, ' ', true),
                                       .expected = "a file name inside the model folder",
                                       .where = index_path.string()});
    }
    file_names.insert(*file_name);
  }
  for (const std::string& file_name : file_names) open_shard(file_name);

  for (const auto& [name, file] : weight_map->items()) {
    const auto found = shard_of_.find(name);
    const std::string& file_name = file.get_ref<const std::string&>();
    if (found != shard_of_.end() && files_[found->second].path().filename() == file_name) continue;
    throw Error(ExitCode::kDamaged,
                {.what = "tensor '" + name + "' is not in the shard that the index names",
                 .got = found == shard_of_.end() ? "no such tensor" : place_of(name),
                 .expected = file_name,
                 .hint = "index and shards do not belong together",
                 .where = index_path.string()});
  }
}

const TensorInfo& Shards::info(const std::string& name) const {
  const auto found = shard_of_.find(name);
  if (found == shard_of_.end()) {
    throw Error(ExitCode::kDamaged,
                {.what = "tensor '" + name + "' is missing", .where = folder_.string()});
  }
  return files_[found->second].tensors().at(name);
}

void Shards::read(const std::string& name, int64_t begin, std::span<std::byte> out) const {
  files_[shard_of_.at(name)].read(name, begin, out);
}

std::vector<std::string> Shards::names() const {
  std::vector<std::string> names;
  for (const auto& entry : shard_of_) names.push_back(entry.first);
  return names;
}

std::string Shards::place_of(const std::string& name) const {
  const auto found = shard_of_.find(name);
  return found == shard_of_.end() ? folder_.string() : files_[found->second].path().string();
}

}  // namespace rung::format
