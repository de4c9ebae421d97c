// Class defaults and rules are those of transformers 5 (models/*/configuration_*.py,
// modeling_rope_utils.py), which reads both dialects too.
#include "format/model_config.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "format/json_fields.h"
#include "format/rope_config.h"

namespace rung::format {

namespace {

constexpr IntegerRange kTokenIdRange = {.min = 0, .max = (int64_t{1} << 24) - 1};
constexpr int64_t kNotGiven = 0;  // a default that follows from other keys

// What a family is where its config.json is silent, and what it always is.
struct FamilyFacts {
  Family family;
  std::string_view architecture;
  std::string_view model_type;
  int64_t vocab_size;
  int64_t intermediate_size;
  int64_t num_kv_heads;
  int64_t head_dim;
  int64_t max_position_embeddings;
  bool has_llama_token_ids;  // bos 1 and eos 2
};

constexpr std::array<FamilyFacts, 4> kFamilies = {{
    {Family::kLlama, "LlamaForCausalLM", "llama", 32000, 11008, kNotGiven, kNotGiven, 2048, true},
    {Family::kMistral, "MistralForCausalLM", "mistral", 32000, 14336, 8, kNotGiven, 131072, true},
    {Family::kQwen2, "Qwen2ForCausalLM", "qwen2", 151936, 22016, 32, kNotGiven, 32768, false},
    {Family::kQwen3, "Qwen3ForCausalLM", "qwen3", 151936, 22016, 32, 128, 32768, false},
}};

const FamilyFacts& find_family(const JsonFields& fields) {
  const std::vector<std::string> architectures = fields.texts("architectures");
  const std::string model_type = fields.text("model_type").value_or("");
  std::string supported;
  for (const FamilyFacts& facts : kFamilies) {
    const bool is_it = architectures.empty() ? facts.model_type == model_type
                                             : facts.architecture == architectures.front();
    if (is_it) return facts;
    supported += (supported.empty() ? "" : ", ") + std::string(facts.architecture);
  }
  fields.refuse(architectures.empty() ? "model_type" : "architectures", "one of " + supported,
                "rung fine-tunes these families so far");
}

void read_sizes(const JsonFields& fields, const FamilyFacts& facts, ModelConfig& config) {
  constexpr IntegerRange kWidth = {.min = 1, .max = int64_t{1} << 20};
  constexpr IntegerRange kHeads = {.min = 1, .max = int64_t{1} << 14};
  config.vocab_size =
      fields.integer("vocab_size", {.min = 1, .max = int64_t{1} << 24}).value_or(facts.vocab_size);
  config.hidden_size = fields.integer("hidden_size", kWidth).value_or(4096);
  config.intermediate_size =
      fields.integer("intermediate_size", kWidth).value_or(facts.intermediate_size);
  config.num_layers = fields.integer("num_hidden_layers", {.min = 1, .max = 1024}).value_or(32);
  config.max_position_embeddings =
      fields.integer("max_position_embeddings", {.min = 1, .max = int64_t{1} << 31})
          .value_or(facts.max_position_embeddings);
  config.rms_norm_eps = fields.number("rms_norm_eps", {.above = 0.0, .max = 1.0}).value_or(1e-6);

  config.num_heads = fields.integer("num_attention_heads", kHeads).value_or(32);
  // An explicit null means "as many as heads", also where the class has another default.
  const Json* kv_heads = fields.find("num_key_value_heads");
  const bool is_null = kv_heads == nullptr && fields.contains("num_key_value_heads");
  const bool follows_heads = is_null || facts.num_kv_heads == kNotGiven;
  config.num_kv_heads = fields.integer("num_key_value_heads", kHeads)
                            .value_or(follows_heads ? config.num_heads : facts.num_kv_heads);
  if (config.num_heads % config.num_kv_heads != 0) {
    fields.damaged("num_key_value_heads",
                   "a divisor of num_attention_heads (" + std::to_string(config.num_heads) + ")");
  }
  config.head_dim =
      fields.integer("head_dim", {.min = 2, .max = int64_t{1} << 14}).value_or(facts.head_dim);
  if (config.head_dim == kNotGiven) {
    if (config.hidden_size % config.num_heads != 0) {
      fields.damaged("hidden_size", "a multiple of num_attention_heads (" +
                                        std::to_string(config.num_heads) + ")");
    }
    config.head_dim = config.hidden_size / config.num_heads;
  }
  if (config.head_dim > 256) {
    fields.refuse("head_dim", "at most 256");
  }
  if (config.head_dim % 2 != 0) {
    fields.damaged("head_dim", "an even number, got " + std::to_string(config.head_dim) +
                                   ": rotary embeddings turn pairs");
  }
}

void read_biases(const JsonFields& fields, ModelConfig& config) {
  const bool attention_bias = fields.boolean("attention_bias").value_or(false);
  const bool mlp_bias = fields.boolean("mlp_bias").value_or(false);
  switch (config.family) {
    case Family::kLlama:
      config.attention_bias = config.attention_out_bias = attention_bias;
      config.mlp_bias = mlp_bias;
      break;
    case Family::kMistral:  // has none, whatever the file says
      break;
    case Family::kQwen2:
      config.attention_bias = true;
      break;
    case Family::kQwen3:
      config.attention_bias = config.attention_out_bias = attention_bias;
      config.qk_norm = true;
      break;
  }
}

// What changes the numbers and is not built: refused here, not ignored.
void refuse_unsupported(const JsonFields& fields) {
  const std::string activation = fields.text("hidden_act").value_or("silu");
  if (activation != "silu" && activation != "swish") fields.refuse("hidden_act", "silu");
  const Json* dropout = fields.find("attention_dropout");
  if (dropout != nullptr && *dropout != 0.0) fields.refuse("attention_dropout", "0");
}

bool has_sliding_layers(const JsonFields& fields, const ModelConfig& config) {
  if (!fields.has("layer_types")) {
    const int64_t full_layers = fields.integer("max_window_layers", {.min = 0}).value_or(28);
    return full_layers < config.num_layers;
  }
  const std::vector<std::string> types = fields.texts("layer_types");
  if (static_cast<int64_t>(types.size()) != config.num_layers) {
    fields.damaged("layer_types", std::to_string(config.num_layers) + " entries, one a layer");
  }
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      fields.refuse("layer_types", "full_attention or sliding_attention only");
    }
  }
  return std::find(types.begin(), types.end(), "sliding_attention") != types.end();
}

// The window where at least one layer has it. Llama has none, whatever the file says.
std::optional<int64_t> read_sliding_window(const JsonFields& fields, const ModelConfig& config) {
  if (config.family == Family::kLlama) return std::nullopt;
  std::optional<int64_t> window =
      fields.integer("sliding_window", {.min = 1, .max = int64_t{1} << 31});
  if (!window && !fields.contains("sliding_window")) window = 4096;
  if (config.family == Family::kMistral || !window) return window;
  if (!fields.boolean("use_sliding_window").value_or(false)) return std::nullopt;
  return has_sliding_layers(fields, config) ? window : std::nullopt;
}

std::optional<BnbConfig> read_quantization(const JsonFields& fields) {
  const std::optional<JsonFields> quantization = fields.object("quantization_config");
  if (!quantization) return std::nullopt;
  const std::string hint = "use the unquantised model, or a bitsandbytes NF4 one";
  const auto is_text = [&](std::string_view key, std::string_view expected) {
    return quantization->text(key).value_or(std::string(expected)) == expected;
  };
  if (!is_text("quant_method", "bitsandbytes")) {
    quantization->refuse("quant_method", "bitsandbytes", hint);
  }
  if (!quantization->boolean("load_in_4bit").value_or(false)) {
    quantization->refuse("load_in_4bit", "true (8-bit models are not supported)", hint);
  }
  // The class default of transformers is fp4.
  if (quantization->text("bnb_4bit_quant_type").value_or("fp4") != "nf4") {
    quantization->refuse("bnb_4bit_quant_type", "nf4", hint);
  }
  if (!is_text("bnb_4bit_quant_storage", "uint8")) {
    quantization->refuse("bnb_4bit_quant_storage", "uint8", hint);
  }
  return BnbConfig{.double_quant =
                       quantization->boolean("bnb_4bit_use_double_quant").value_or(false)};
}

std::string read_dtype(const JsonFields& fields) {
  const std::string_view key = fields.has("dtype") ? "dtype" : "torch_dtype";
  const std::string dtype = fields.text(key).value_or("");
  if (!dtype.empty() && dtype != "bfloat16" && dtype != "float16" && dtype != "float32") {
    fields.refuse(key, "bfloat16, float16 or float32");
  }
  return dtype;
}

}  // namespace

std::vector<int64_t> read_token_ids(const JsonFields& fields, std::string_view key) {
  const Json* value = fields.find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return {*fields.integer(key, kTokenIdRange)};
  std::vector<int64_t> ids;
  for (const Json& item : *value) {
    const Json wrapped = {{std::string(key), item}};
    const std::optional<int64_t> id =
        JsonFields(wrapped, fields.where()).integer(key, kTokenIdRange);
    if (!id) fields.damaged(key, "a list of token ids");
    ids.push_back(*id);
  }
  return ids;
}

ModelConfig read_model_config(const std::filesystem::path& config_json) {
  constexpr size_t kMaxBytes = size_t{1} << 20;
  return read_model_config(read_json_file(config_json, {.max_bytes = kMaxBytes}),
                           config_json.string());
}

ModelConfig read_model_config(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  const FamilyFacts& facts = find_family(fields);

  ModelConfig config;
  config.family = facts.family;
  config.architecture = facts.architecture;
  read_sizes(fields, facts, config);
  read_biases(fields, config);
  refuse_unsupported(fields);
  config.tie_word_embeddings = fields.boolean("tie_word_embeddings").value_or(false);
  config.sliding_window = read_sliding_window(fields, config);
  config.rope = read_rope_config(fields, config.max_position_embeddings);
  config.bnb = read_quantization(fields);
  config.dtype = read_dtype(fields);

  const bool has_bos_key = fields.contains("bos_token_id");
  config.bos_token_id = fields.integer("bos_token_id", kTokenIdRange);
  if (!has_bos_key && facts.has_llama_token_ids) config.bos_token_id = 1;
  config.eos_token_ids = read_token_ids(fields, "eos_token_id");
  if (!fields.contains("eos_token_id") && facts.has_llama_token_ids) config.eos_token_ids = {2};
  return config;
}

}  // namespace rung::format
