#include "training/setup.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/config.h"
#include "base/error.h"
#include "model/lora_targets.h"
#include "training/output_folder.h"

namespace rung::training {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& hint) {
  throw Error(ExitCode::kConfig, {.what = what, .hint = hint});
}

model::BaseFormat base_format(const RunConfig& config, const format::ModelConfig& model) {
  if (model.bnb) {
    if (!config.load_in_4bit) {
      refuse("base_model holds 4-bit weights, but adapter: lora asks for a dense base",
             "set adapter: qlora, or name the 16-bit model");
    }
    return model.bnb->double_quant ? model::BaseFormat::kNf4DoubleQuant : model::BaseFormat::kNf4;
  }
  if (!config.load_in_4bit) return model::BaseFormat::kDense;
  return config.bnb_4bit_use_double_quant ? model::BaseFormat::kNf4DoubleQuant
                                          : model::BaseFormat::kNf4;
}

// Paths of the linears of every block, in the order of the model.
std::vector<std::string> linears_of(const format::ModelConfig& model) {
  std::vector<std::string> linears;
  for (int64_t i = 0; i < model.num_layers; ++i) {
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                             "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      linears.push_back(fmt::format("model.layers.{}.{}", i, name));
    }
  }
  return linears;
}

// The last path components of the adapted modules: what target_modules of adapter_config.json
// lists.
std::vector<std::string> short_targets(const std::vector<std::string>& modules) {
  std::vector<std::string> names;
  for (const std::string& module : modules) {
    std::string name = module.substr(module.rfind('.') + 1);
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

format::AdapterConfig fresh_adapter_config(const RunConfig& config,
                                           const std::vector<std::string>& modules) {
  format::AdapterConfig adapter{.r = config.lora_r,
                                .lora_alpha = config.lora_alpha,
                                .lora_dropout = config.lora_dropout,
                                .use_rslora = config.use_rslora,
                                .base_model_name_or_path = config.base_model};
  switch (config.lora_target_modules.mode) {
    case TargetModules::Mode::kAllLinear:
      adapter.target_modules = short_targets(modules);
      break;
    case TargetModules::Mode::kList:
      adapter.target_modules = config.lora_target_modules.names;
      break;
    case TargetModules::Mode::kRegex:
      adapter.target_regex = config.lora_target_modules.regex;
      break;
  }
  return adapter;
}

c10::ScalarType scalar_type(ComputeDtype dtype) {
  switch (dtype) {
    case ComputeDtype::kFp32:
      return c10::kFloat;
    case ComputeDtype::kFp16:
      return c10::kHalf;
    case ComputeDtype::kAuto:  // every GPU that rung has kernels for multiplies bf16
    case ComputeDtype::kBf16:
      return c10::kBFloat16;
  }
  TORCH_INTERNAL_ASSERT(false);
}

}  // namespace

BaseModel open_base_model(const RunConfig& config) {
  const std::filesystem::path path = format::find_model_folder(config.base_model);
  return {format::ModelFolder(path), text::Tokenizer::load(path),
          data::load_chat_template(config, path)};
}

data::EncodeContext encode_context(const RunConfig& config, const BaseModel& base) {
  return {.run = config,
          .tokenizer = base.tokenizer,
          .chat_template = base.chat_template ? &*base.chat_template : nullptr,
          .vocab_size = base.folder.config().vocab_size};
}

data::RunData load_data(const RunConfig& config, const BaseModel& base, std::ostream* log) {
  return load_data(encode_context(config, base), log);
}

data::RunData load_data(const data::EncodeContext& context, std::ostream* log) {
  if (log == nullptr) return data::load_run_data(context);
  const RunConfig& run = context.run;
  data::LoadProgress progress(*log,
                              data::bytes_of(run.datasets) + data::bytes_of(run.test_datasets));
  data::RunData data = data::load_run_data(context, &progress);
  progress.finish();
  return data;
}

model::ModelOptions model_options(const RunConfig& config, const format::ModelConfig& model) {
  return model_options(config, model, device_of(config).type());
}

model::ModelOptions model_options(const RunConfig& config, const format::ModelConfig& model,
                                  c10::DeviceType device) {
  if (model.sliding_window && *model.sliding_window < config.sequence_len) {
    refuse(fmt::format("the model's sliding window of {} tokens is shorter than sequence_len {}, "
                       "which is not supported yet",
                       *model.sliding_window, config.sequence_len),
           "lower sequence_len");
  }
  if (config.embedding_offloading && model.tie_word_embeddings) {
    refuse("embedding_offloading saves nothing: the model's embedding is its head, too",
           "remove embedding_offloading");
  }
  const c10::ScalarType compute = scalar_type(config.compute_dtype);
  return {.compute = compute,
          .base = base_format(config, model),
          .max_positions = config.sequence_len,
          .device = device_of(config),
          .stands_for = device,
          .embedding_on_host = config.embedding_offloading};
}

step::OptimizerOptions optimizer_options(const RunConfig& config) {
  return {
      .beta1 = config.adam_beta1,
      .beta2 = config.adam_beta2,
      .epsilon = config.adam_epsilon,
      .weight_decay = config.weight_decay,
      .moments = config.optimizer == "adamw_8bit" ? step::Moments::k8bit : step::Moments::kFp32};
}

int64_t mlp_tile(const format::ModelConfig& model) {
  constexpr int64_t kAtLeast = 1024;
  constexpr int64_t kMultiple = 64;
  return std::max(kAtLeast, (model.hidden_size + kMultiple - 1) / kMultiple * kMultiple);
}

std::optional<std::string> context_note(const RunConfig& config, const format::ModelConfig& model) {
  const format::RopeConfig& rope = model.rope;
  int64_t context = model.max_position_embeddings;
  // Stretched positions: config.json may have the length from before.
  if (rope.kind == format::RopeKind::kLinear) {
    context = static_cast<int64_t>(static_cast<double>(context) * rope.factor);
  } else if (rope.kind == format::RopeKind::kYarn) {
    context = std::max(
        context, static_cast<int64_t>(static_cast<double>(rope.original_max_position_embeddings) *
                                      rope.factor));
  }
  if (config.sequence_len <= context) return std::nullopt;
  return fmt::format(
      "sequence_len {} is beyond the {} positions that the model was made for "
      "(max_position_embeddings); longer examples may be learnt badly",
      config.sequence_len, context);
}

std::optional<std::string> offloading_note(const RunConfig& config) {
  if (!device_of(config).is_cpu()) return std::nullopt;
  for (const auto& [key, is_on] : {std::pair("activation_offloading", config.activation_offloading),
                                   std::pair("embedding_offloading", config.embedding_offloading),
                                   std::pair("layer_offloading", config.layer_offloading)}) {
    if (!is_on) continue;
    return fmt::format(
        "{} saves nothing on a CPU, whose memory is the host's; what it moves there is not counted "
        "under memory_limit",
        key);
  }
  return std::nullopt;
}

RunConfig with_starting_adapter(RunConfig config, const std::set<std::string>& explicit_keys) {
  if (config.lora_model_dir.empty()) return config;
  refuse_unfinished_run(config.lora_model_dir);
  const format::AdapterConfig saved = format::read_adapter_config(config.lora_model_dir);
  RunConfig resolved = config;
  resolved.lora_r = saved.r;
  resolved.lora_alpha = saved.lora_alpha;
  resolved.use_rslora = saved.use_rslora;
  resolved.lora_target_modules =
      saved.target_regex.empty()
          ? TargetModules{.mode = TargetModules::Mode::kList, .names = saved.target_modules}
      : saved.target_regex == "all-linear"
          ? TargetModules{.mode = TargetModules::Mode::kAllLinear}
          : TargetModules{.mode = TargetModules::Mode::kRegex, .regex = saved.target_regex};
  for (const std::string& key : changed_keys(config, resolved)) {
    if (!explicit_keys.contains(key)) continue;
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("{} differs from the adapter in lora_model_dir", key),
                 .hint = "leave the key out: it comes from the adapter",
                 .where = config.lora_model_dir});
  }
  return resolved;
}

AdapterPlan plan_adapter(const RunConfig& config, const format::ModelConfig& model) {
  AdapterPlan plan;
  if (!config.lora_model_dir.empty()) {
    plan.start = format::read_adapter(config.lora_model_dir);
    plan.config = plan.start->config;
    plan.config.lora_dropout = config.lora_dropout;
    plan.config.base_model_name_or_path = config.base_model;
    plan.options = saved_adapter_options(*plan.start);
    plan.options.dropout = config.lora_dropout;
    return plan;
  }
  plan.options.modules = model::match_targets(config.lora_target_modules, linears_of(model));
  plan.config = fresh_adapter_config(config, plan.options.modules);
  plan.options.r = config.lora_r;
  plan.options.scaling = plan.config.scaling();
  plan.options.dropout = config.lora_dropout;
  return plan;
}

void attach_adapter(model::Transformer& model, const AdapterPlan& plan, const RunConfig& config) {
  model.add_adapter(plan.options);
  if (plan.start) {
    model.adapter().assign(*plan.start);
  } else {
    model.adapter().initialize(config.init_lora_weights, config.seed);
  }
}

format::AdapterFolder read_saved_adapter(const std::filesystem::path& dir) {
  refuse_unfinished_run(dir);
  return format::read_adapter(dir);
}

model::AdapterOptions saved_adapter_options(const format::AdapterFolder& adapter) {
  model::AdapterOptions options{.r = adapter.config.r, .scaling = adapter.config.scaling()};
  for (const format::AdapterTensor& tensor : adapter.tensors) {
    options.modules.push_back(tensor.module);
  }
  return options;
}

void attach_saved_adapter(model::Transformer& model, const format::AdapterFolder& adapter) {
  model.add_adapter(saved_adapter_options(adapter));
  model.adapter().assign(adapter);
}

void use_resident_weights(model::Transformer& model, const Machine& machine) {
  // The other half is for activations, logits and the key-value cache.
  if (model.resident_bytes() <= machine.memory_left() / 2) model.make_weights_resident();
}

int64_t cache_budget(const Machine& machine) { return machine.memory_left() / 2; }

}  // namespace rung::training
