// From a configuration to the objects of a run: model folder, data, model with adapter.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/run_config.h"
#include "data/dataset.h"
#include "format/adapter.h"
#include "format/model_folder.h"
#include "model/transformer.h"
#include "step/optimizer.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "training/machine.h"

namespace rung::training {

// The base model's files, opened and checked; nothing of the size of the weights is read yet.
struct BaseModel {
  format::ModelFolder folder;
  text::Tokenizer tokenizer;
  std::optional<text::ChatTemplate> chat_template;
};

BaseModel open_base_model(const RunConfig& config);

// What encoding data for that model needs; both outlive it.
data::EncodeContext encode_context(const RunConfig& config, const BaseModel& base);

// The data of the run, encoded for that model. Where that takes long, `log` is told how far it is.
data::RunData load_data(const RunConfig& config, const BaseModel& base,
                        std::ostream* log = nullptr);
data::RunData load_data(const data::EncodeContext& context, std::ostream* log);

// How the model of a run is built. Throws Error kConfig where the configuration asks for what the
// model cannot do (a sliding window shorter than sequence_len, a 4-bit checkpoint as a dense base,
// ...) or for another device.
model::ModelOptions model_options(const RunConfig& config, const format::ModelConfig& model);
// The same for plans: as it would be on a device of this kind.
model::ModelOptions model_options(const RunConfig& config, const format::ModelConfig& model,
                                  c10::DeviceType device);

// Tokens in a tile of a tiled MLP: enough for its products to run at full speed.
int64_t mlp_tile(const format::ModelConfig& model);

// `config` with rank, alpha, rslora and targets of the adapter in lora_model_dir, where one is
// named. Throws Error kConfig where one of `explicit_keys` (what the user set) says otherwise.
RunConfig with_starting_adapter(RunConfig config, const std::set<std::string>& explicit_keys);

step::OptimizerOptions optimizer_options(const RunConfig& config);

// A line for the user where sequence_len is beyond the positions that the model was made for.
std::optional<std::string> context_note(const RunConfig& config, const format::ModelConfig& model);

// A line for the user where keys move tensors to host memory, but the device is the CPU itself.
std::optional<std::string> offloading_note(const RunConfig& config);

// Rank, scaling, targets: from the configuration, or from the adapter in lora_model_dir.
struct AdapterPlan {
  format::AdapterConfig config;  // as it will be written
  model::AdapterOptions options;
  std::optional<format::AdapterFolder> start;  // lora_model_dir
};

AdapterPlan plan_adapter(const RunConfig& config, const format::ModelConfig& model);

// Gives `model` the planned adapter: freshly initialised, or a copy of the one to start from.
void attach_adapter(model::Transformer& model, const AdapterPlan& plan, const RunConfig& config);

// A saved adapter from the folder that a user named. Throws as format::read_adapter does, and says
// how to go on where the folder is that of an unfinished run (training/output_folder.h).
format::AdapterFolder read_saved_adapter(const std::filesystem::path& dir);

// What a saved adapter asks of a model that is only read.
model::AdapterOptions saved_adapter_options(const format::AdapterFolder& adapter);

// A saved adapter on a model that is only read: for evaluation, generation and merging.
void attach_saved_adapter(model::Transformer& model, const format::AdapterFolder& adapter);

// Inference: keeps dequantised weights resident where the memory limit leaves room for them twice
// over.
void use_resident_weights(model::Transformer& model, const Machine& machine);

// Inference: what the key-value caches may take of the memory that is left now.
int64_t cache_budget(const Machine& machine);

}  // namespace rung::training
