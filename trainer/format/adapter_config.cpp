// adapter_config.json, both ways. PEFT gains a key with almost every release; most are null, false
// or empty unless a feature is on. So what is not understood is refused by that rule, and a feature
// that does not exist yet will be refused by its name too.
#include "format/adapter_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "format/adapter.h"
#include "format/json_fields.h"
#include "format/output_file.h"

namespace rung::format {

namespace {

// Read below, or without influence on the numbers once the adapter is trained.
constexpr std::array<std::string_view, 12> kUnderstoodKeys = {
    "peft_type",    "task_type",      "r",    "lora_alpha",     "lora_dropout",
    "use_rslora",   "target_modules", "bias", "inference_mode", "init_lora_weights",
    "auto_mapping", "eva_config",
};

bool is_switched_on(const Json& value) {
  const bool is_filled = (value.is_object() || value.is_array()) && !value.empty();
  return is_filled || (value.is_boolean() && value.get<bool>());
}

void refuse_unsupported(const Json& json, const JsonFields& fields) {
  for (const auto& [key, value] : json.items()) {
    const bool is_understood =
        std::find(kUnderstoodKeys.begin(), kUnderstoodKeys.end(), key) != kUnderstoodKeys.end();
    if (!is_understood && is_switched_on(value)) {
      fields.refuse(key, "a plain LoRA adapter, where it is off");
    }
  }
  if (fields.text("peft_type") != "LORA") fields.refuse("peft_type", "LORA");
  if (fields.text("task_type").value_or("CAUSAL_LM") != "CAUSAL_LM") {
    fields.refuse("task_type", "CAUSAL_LM");
  }
  if (fields.text("bias").value_or("none") != "none") fields.refuse("bias", "none");
  // Initialisations that change the base weights as well: the adapter alone is not the model.
  const Json* init = fields.find("init_lora_weights");
  if (init != nullptr && init->is_string() && *init != "gaussian" && *init != "eva" &&
      *init != "orthogonal") {
    fields.refuse("init_lora_weights", "true, false, gaussian, eva or orthogonal",
                  "convert the adapter to a plain one with PEFT first");
  }
}

void read_targets(const JsonFields& fields, AdapterConfig& config) {
  const Json* targets = fields.find("target_modules");
  if (targets != nullptr && targets->is_string()) {
    config.target_regex = targets->get<std::string>();
  } else {
    config.target_modules = fields.texts("target_modules");
  }
  if (config.target_regex.empty() && config.target_modules.empty()) {
    fields.damaged("target_modules", "module names, or an expression");
  }
}

// PEFT's own files have whole numbers without a fraction; old releases insist on it.
nlohmann::json as_json_number(double value) {
  const bool is_whole = value == std::floor(value) && std::abs(value) < 1e15;
  return is_whole ? nlohmann::json(static_cast<int64_t>(value)) : nlohmann::json(value);
}

}  // namespace

double AdapterConfig::scaling() const {
  const double rank = static_cast<double>(r);
  return lora_alpha / (use_rslora ? std::sqrt(rank) : rank);
}

AdapterConfig read_adapter_config(const std::filesystem::path& dir) {
  constexpr size_t kMaxBytes = size_t{1} << 20;
  const std::filesystem::path path = dir / "adapter_config.json";
  const Json json = read_json_file(path, {.max_bytes = kMaxBytes});
  const JsonFields fields(json, path.string());
  refuse_unsupported(json, fields);

  AdapterConfig config;
  config.r = fields.integer("r", {.min = 1, .max = 65536}).value_or(8);
  config.lora_alpha = fields.number("lora_alpha", {.above = 0.0, .max = 1e9}).value_or(8.0);
  const Json* dropout = fields.find("lora_dropout");
  if (dropout != nullptr && *dropout != 0.0) {
    config.lora_dropout = *fields.number("lora_dropout", {.above = 0.0, .max = 1.0});
  }
  config.use_rslora = fields.boolean("use_rslora").value_or(false);
  config.base_model_name_or_path = fields.text("base_model_name_or_path").value_or("");
  read_targets(fields, config);
  return config;
}

void write_adapter_config(const std::filesystem::path& dir, const AdapterConfig& config) {
  nlohmann::json json = {
      // nlohmann's plain json sorts its keys
      {"alpha_pattern", nlohmann::json::object()},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", nullptr},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layers_pattern", nullptr},
      {"layers_to_transform", nullptr},
      {"lora_alpha", as_json_number(config.lora_alpha)},
      {"lora_dropout", config.lora_dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", config.r},
      {"rank_pattern", nlohmann::json::object()},
      {"revision", nullptr},
      {"target_modules", config.target_modules},
      {"task_type", "CAUSAL_LM"},
  };
  if (!config.base_model_name_or_path.empty()) {
    json["base_model_name_or_path"] = config.base_model_name_or_path;
  }
  if (!config.target_regex.empty()) json["target_modules"] = config.target_regex;
  if (config.use_rslora) json["use_rslora"] = true;

  OutputFile file(dir / "adapter_config.json");
  file.write(json.dump(2) + "\n");
  file.sync();
}

}  // namespace rung::format
