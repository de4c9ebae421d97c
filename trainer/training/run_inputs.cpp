#include "training/run_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <system_error>

#include "base/error.h"
#include "base/json.h"
#include "base/publish.h"
#include "base/sha256.h"
#include "data/dataset.h"
#include "format/input_file.h"
#include "format/model_folder.h"
#include "format/shards.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAbsent = "absent";
constexpr int64_t kSampleBytes = int64_t{1} << 20;  // at both ends of a file of weights

// A file that cannot be read is for its reader to complain about.
std::string hash_of(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) ? sha256_of_file(path) : kAbsent;
}

std::string fingerprint(const std::vector<fs::path>& files) {
  std::error_code error;
  const auto is_there = [&](const fs::path& path) { return fs::is_regular_file(path, error); };
  if (files.empty() || !std::ranges::all_of(files, is_there)) return kAbsent;
  Sha256 hash;
  std::vector<std::byte> sample;
  for (const fs::path& path : files) {
    const format::InputFile file(path);
    const std::string label = fmt::format("{} {}\n", path.filename().string(), file.size());
    hash.update(label.data(), label.size());
    sample.resize(static_cast<size_t>(std::min(kSampleBytes, file.size())));
    for (const int64_t begin : {int64_t{0}, file.size() - std::ssize(sample)}) {
      file.read(begin, sample);
      hash.update(sample.data(), sample.size());
    }
  }
  return hash.hex_digest();
}

void hash_datasets(const std::string& key, const std::vector<DatasetConfig>& datasets,
                   InputHashes& inputs) {
  for (size_t i = 0; i < datasets.size(); ++i) {
    inputs[fmt::format("{}.{}", key, i)] = hash_of(datasets[i].path);
  }
}

// "datasets.0" -> its path; nothing for other names.
std::optional<fs::path> dataset_path(const std::string& name, const RunConfig& config) {
  const auto find = [&](const std::string& key,
                        const std::vector<DatasetConfig>& datasets) -> std::optional<fs::path> {
    for (size_t i = 0; i < datasets.size(); ++i) {
      if (name == fmt::format("{}.{}", key, i)) return datasets[i].path;
    }
    return std::nullopt;
  };
  const std::optional<fs::path> train = find("datasets", config.datasets);
  return train ? train : find("test_datasets", config.test_datasets);
}

}  // namespace

InputHashes hash_inputs(const RunConfig& config) {
  InputHashes inputs = hash_data_inputs(config);
  const fs::path model = format::find_model_folder(config.base_model);
  inputs["base_model/model.safetensors.index.json"] =
      hash_of(model / "model.safetensors.index.json");
  inputs["base_model/weights"] = fingerprint(format::weight_files(model));
  if (!config.lora_model_dir.empty()) {
    for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
      inputs[std::string("lora_model_dir/") + name] =
          hash_of(fs::path(config.lora_model_dir) / name);
    }
  }
  return inputs;
}

InputHashes hash_data_inputs(const RunConfig& config) {
  InputHashes inputs;
  const fs::path model = format::find_model_folder(config.base_model);
  std::error_code unreadable;
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    inputs[std::string("base_model/") + name] = hash_of(model / name);
  }
  if (!fs::exists(model / "tokenizer.json", unreadable)) {
    for (const char* name : {"tokenizer.model", "special_tokens_map.json", "added_tokens.json"}) {
      inputs[std::string("base_model/") + name] = hash_of(model / name);
    }
  }
  if (const auto chat_template = data::load_chat_template(config, model)) {
    inputs["chat_template"] = sha256_of_text(chat_template->source());
  }
  hash_datasets("datasets", config.datasets, inputs);
  hash_datasets("test_datasets", config.test_datasets, inputs);
  return inputs;
}

std::vector<std::string> changed_inputs(const InputHashes& saved, const InputHashes& now,
                                        const RunConfig& now_config) {
  InputHashes all = saved;
  all.insert(now.begin(), now.end());
  std::vector<std::string> changed;
  for (const auto& [name, hash] : all) {
    const auto before = saved.find(name);
    const auto after = now.find(name);
    if (before != saved.end() && after != now.end() && before->second == after->second) continue;
    const std::optional<fs::path> path = dataset_path(name, now_config);
    changed.push_back(path ? fmt::format("{} ({})", name, path->string()) : name);
  }
  return changed;
}

void write_inputs(const fs::path& checkpoint, const InputHashes& inputs) {
  publish_file(checkpoint / kInputsFile, Json(inputs).dump(2) + "\n");
}

InputHashes read_inputs(const fs::path& checkpoint) {
  const fs::path file = checkpoint / kInputsFile;
  std::error_code error;
  if (!fs::exists(file, error)) {
    throw Error(ExitCode::kConfig,
                {.what = "the checkpoint does not say what it was trained on",
                 .expected = fmt::format("{}, which later versions of rung write", kInputsFile),
                 .hint = "start anew with --resume never",
                 .where = checkpoint.string()});
  }
  const Json json = read_json_file(file);
  InputHashes inputs;
  const auto is_text = [](const Json& value) { return value.is_string(); };
  if (!json.is_object() || !std::ranges::all_of(json, is_text)) {
    throw Error(ExitCode::kDamaged, {.what = "a checkpoint's inputs are no hashes by name",
                                     .hint = "remove this checkpoint; an older one is used then",
                                     .where = file.string()});
  }
  for (const auto& [name, hash] : json.items()) inputs[name] = hash;
  return inputs;
}

}  // namespace rung::training
