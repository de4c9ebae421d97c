#include "training/plan_inputs.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/version.h"
#include "data/dataset.h"
#include "data/sizes_file.h"
#include "format/model_folder.h"
#include "format/shards.h"
#include "training/run_inputs.h"
#include "training/setup.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;

// The keys that say what becomes of a record; all others have their default. Files are told apart
// by their contents (hash_data_inputs), but the kind of a data set is also in its name.
RunConfig without_other_keys(const RunConfig& config) {
  RunConfig data;
  data.datasets = config.datasets;
  data.test_datasets = config.test_datasets;
  for (auto* datasets : {&data.datasets, &data.test_datasets}) {
    for (DatasetConfig& dataset : *datasets) dataset.path = dataset.path.extension();
  }
  if (config.test_datasets.empty() && config.val_set_size > 0.0) {
    data.val_set_size = config.val_set_size;
    data.seed = config.seed;
  }
  data.train_on_inputs = config.train_on_inputs;
  data.roles_to_train = config.roles_to_train;
  data.train_on_eos = config.train_on_eos;
  data.sequence_len = config.sequence_len;
  data.excess_length_strategy = config.excess_length_strategy;
  return data;
}

// Today, where the template can write a date.
std::string day_of_template(const RunConfig& config) {
  const auto chat_template =
      data::load_chat_template(config, format::find_model_folder(config.base_model));
  if (!chat_template || chat_template->source().find("strftime_now") == std::string::npos) {
    return "";
  }
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  ::localtime_r(&now, &local);
  return fmt::format("{:%Y-%m-%d}", local);
}

// Nothing where a file cannot be read: whoever needs it says so better.
std::optional<std::string> try_sizes_key(const RunConfig& config) {
  try {
    return sizes_key(config);
  } catch (const Error&) {
    return std::nullopt;
  }
}

data::RunSizes count(const RunConfig& config, const format::ModelConfig& model, std::ostream& log) {
  const fs::path folder = format::find_model_folder(config.base_model);
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder);
  const auto chat_template = data::load_chat_template(config, folder);
  const data::RunData data = load_data({.run = config,
                                        .tokenizer = tokenizer,
                                        .chat_template = chat_template ? &*chat_template : nullptr,
                                        .vocab_size = model.vocab_size},
                                       &log);
  return {.train = data::sizes_of(data.train.examples),
          .validation = data::sizes_of(data.validation.examples),
          .report = data.train.report};
}

}  // namespace

PlannedModel read_planned_model(const RunConfig& config) {
  const fs::path path = format::find_model_folder(config.base_model);
  const std::vector<fs::path> files = format::weight_files(path);
  std::error_code absent;
  if (std::ranges::any_of(files, [&](const fs::path& file) { return fs::exists(file, absent); })) {
    return {.config = format::ModelFolder(path).config()};
  }
  return {.config = format::read_model_config(path / "config.json"),
          .note = fmt::format("there are no weights in {}: the plan is made from its config.json, "
                              "training needs model.safetensors",
                              path.string())};
}

std::string sizes_key(const RunConfig& config) {
  const Json parts = {{"rung", kVersion},
                      {"commit", kCommit},
                      {"inputs", hash_data_inputs(config)},
                      {"keys", dump_resolved_yaml(without_other_keys(config))},
                      {"day", day_of_template(config)}};
  return sha256_of_text(parts.dump(-1, ' ', false, Json::error_handler_t::replace));
}

data::RunSizes load_sizes(const RunConfig& config, const format::ModelConfig& model,
                          const UserCache& cache, std::ostream& log) {
  const std::optional<std::string> key = try_sizes_key(config);
  if (key) {
    const std::optional<std::string> bytes = cache.read(*key);
    std::optional<data::RunSizes> sizes = bytes ? data::read_sizes(*bytes) : std::nullopt;
    if (sizes) return *std::move(sizes);
  }
  data::RunSizes sizes = count(config, model, log);
  // Files may have changed while they were read.
  if (key && try_sizes_key(config) == key) cache.write(*key, data::write_sizes(sizes));
  return sizes;
}

}  // namespace rung::training
