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

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

// Tensor -> name of its shard.
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& index_path) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  const Json json = read_json_file(index_path, {.max_bytes = kMaxBytes});
  const JsonFields index(json, index_path.string());
  const Json* weight_map = index.find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object()) {
    index.damaged("weight_map", "an object from tensor to file name");
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, file] : weight_map->items()) {
    const std::string* file_name = file.get_ptr<const std::string*>();
    if (file_name == nullptr || !is_plain_file_name(*file_name)) {
      throw Error(ExitCode::kDamaged, {.what = "the shard of tensor '" + name + "' has a bad name",
                                       .got = file.dump(-1, ' ', true),
                                       .expected = "a file name inside the model folder",
                                       .where = index_path.string()});
    }
    shards[name] = *file_name;
  }
  return shards;
}

}  // namespace

std::vector<std::filesystem::path> weight_files(const std::filesystem::path& folder) {
  // transformers prefers the single file too.
  if (std::filesystem::exists(folder / kSingleFile)) return {folder / kSingleFile};
  if (!std::filesystem::exists(folder / kIndex)) return {};
  std::set<std::filesystem::path> files;
  for (const auto& entry : read_weight_map(folder / kIndex)) files.insert(folder / entry.second);
  return {files.begin(), files.end()};
}

Shards::Shards(std::filesystem::path folder) : folder_(std::move(folder)) {
  const std::vector<std::filesystem::path> files = weight_files(folder_);
  if (files.empty()) throw_no_weights(folder_);
  for (const std::filesystem::path& file : files) open_shard(file);
  if (files.front() != folder_ / kSingleFile) check_index();
}

void Shards::open_shard(const std::filesystem::path& path) {
  files_.emplace_back(path);
  for (const auto& entry : files_.back().tensors()) {
    const std::string& name = entry.first;
    if (shard_of_.emplace(name, files_.size() - 1).second) continue;
    throw Error(ExitCode::kDamaged, {.what = "tensor '" + name + "' lies in two shards",
                                     .got = place_of(name),
                                     .expected = "each tensor once",
                                     .where = files_.back().path().string()});
  }
}

void Shards::check_index() const {
  const std::filesystem::path index_path = folder_ / kIndex;
  for (const auto& [name, file_name] : read_weight_map(index_path)) {
    const auto found = shard_of_.find(name);
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
