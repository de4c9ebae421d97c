#include "format/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>

#include "base/error.h"
#include "format/gguf_fields.h"
#include "format/gguf_rope.h"

namespace rung::format {

namespace {

struct Architecture {
  std::string_view gguf_name;
  Family family;
  std::string_view class_name;
  std::string_view model_type;
};

constexpr std::array<Architecture, 3> kArchitectures = {{
    {"llama", Family::kLlama, "LlamaForCausalLM", "llama"},
    {"qwen2", Family::kQwen2, "Qwen2ForCausalLM", "qwen2"},
    {"qwen3", Family::kQwen3, "Qwen3ForCausalLM", "qwen3"},
}};

const Architecture& find_architecture(const GgufFields& fields) {
  const std::string key = "general.architecture";
  const std::optional<std::string> name = fields.text(key);
  if (!name) fields.damaged(key, "the name of an architecture");
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.gguf_name == *name) return architecture;
  }
  fields.refuse(key, "llama, qwen2 or qwen3", "rung fine-tunes these families so far");
}

const Architecture& architecture_of(Family family) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.family == family) return architecture;
  }
  assert(false && "the families of GGUF files are in kArchitectures");
  return kArchitectures.front();
}

void read_heads(const GgufFields& fields, const std::string& arch, ModelConfig& config) {
  constexpr IntegerRange kHeads = {.min = 1, .max = int64_t{1} << 14};
  const std::string heads_key = arch + ".attention.head_count";
  const std::string kv_heads_key = arch + ".attention.head_count_kv";
  const std::optional<int64_t> heads = fields.uniform_integer(heads_key, kHeads);
  if (!heads) fields.damaged(heads_key, "an integer: this architecture needs it");
  config.num_heads = *heads;
  config.num_kv_heads = fields.uniform_integer(kv_heads_key, kHeads).value_or(*heads);
  if (config.num_heads % config.num_kv_heads != 0) {
    fields.damaged(kv_heads_key, fmt::format("a divisor of the {} heads", config.num_heads));
  }
  const std::string key_length = arch + ".attention.key_length";
  const std::string value_length = arch + ".attention.value_length";
  const std::optional<int64_t> head_dim =
      fields.integer(key_length, {.min = 2, .max = int64_t{1} << 14});
  if (!head_dim && config.hidden_size % config.num_heads != 0) {
    fields.damaged(heads_key, fmt::format("a divisor of the width {}", config.hidden_size));
  }
  config.head_dim = head_dim.value_or(config.hidden_size / config.num_heads);
  if (config.head_dim % 2 != 0) fields.damaged(key_length, "an even number of values a head");
  if (fields.integer(value_length, {.min = 1}).value_or(config.head_dim) != config.head_dim) {
    fields.refuse(value_length, fmt::format("{}, as long as the keys", config.head_dim));
  }
}

void read_sizes(const GgufFields& fields, const std::string& arch, ModelConfig& config) {
  constexpr IntegerRange kWidth = {.min = 1, .max = int64_t{1} << 20};
  config.hidden_size = fields.required_integer(arch + ".embedding_length", kWidth);
  config.num_layers = fields.required_integer(arch + ".block_count", {.min = 1, .max = 1024});
  config.max_position_embeddings =
      fields.required_integer(arch + ".context_length", {.min = 1, .max = int64_t{1} << 31});
  const std::string feed_forward = arch + ".feed_forward_length";
  const std::optional<int64_t> intermediate = fields.uniform_integer(feed_forward, kWidth);
  if (!intermediate) fields.damaged(feed_forward, "an integer: this architecture needs it");
  config.intermediate_size = *intermediate;
  const std::string eps = arch + ".attention.layer_norm_rms_epsilon";
  const std::optional<double> rms_norm_eps = fields.number(eps, {.above = 0.0, .max = 1.0});
  if (!rms_norm_eps) fields.damaged(eps, "a number: this architecture needs it");
  config.rms_norm_eps = *rms_norm_eps;
}

// What the keys can ask for and the three families, as built, do not do.
void refuse_unsupported(const GgufFields& fields, const std::string& arch) {
  for (const char* name : {".expert_count", ".expert_used_count"}) {
    if (fields.integer(arch + name, {.min = 0}).value_or(0) != 0) {
      fields.refuse(arch + name, "0", "mixtures of experts are not supported");
    }
  }
  const std::string window = arch + ".attention.sliding_window";
  if (fields.has(window)) fields.refuse(window, "full attention");
  const std::string parallel = arch + ".use_parallel_residual";
  if (fields.boolean(parallel).value_or(false)) fields.refuse(parallel, "false");
  const std::string causal = arch + ".attention.causal";
  if (!fields.boolean(causal).value_or(true)) fields.refuse(causal, "true");
  for (const char* name :
       {".logit_scale", ".embedding_scale", ".residual_scale", ".attention.scale"}) {
    const std::optional<double> scale = fields.number(arch + name, {.above = -1e9, .max = 1e9});
    if (scale && *scale != 0.0 && *scale != 1.0) fields.refuse(arch + name, "no scale");
  }
}

void read_from_tensors(const GgufFile& file, const GgufFields& fields, const std::string& arch,
                       ModelConfig& config) {
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) {
    throw Error(ExitCode::kDamaged, {.what = "tensor token_embd.weight is missing",
                                     .hint = "the file holds no whole model",
                                     .where = file.path().string()});
  }
  config.vocab_size = embedding->shape.front();
  const std::string vocab_key = arch + ".vocab_size";
  const std::optional<int64_t> declared =
      fields.integer(vocab_key, {.min = 1, .max = int64_t{1} << 24});
  if (declared && *declared != config.vocab_size) {
    fields.damaged(vocab_key, fmt::format("{}, the rows of token_embd.weight", config.vocab_size));
  }
  config.tie_word_embeddings = file.find_tensor("output.weight") == nullptr;
  const bool has_bias = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  const bool has_out_bias = file.find_tensor("blk.0.attn_output.bias") != nullptr;
  config.attention_bias = has_bias || config.family == Family::kQwen2;
  config.attention_out_bias = config.attention_bias && config.family != Family::kQwen2;
  if (has_out_bias != config.attention_out_bias || (has_bias && !config.attention_bias)) {
    throw Error(
        ExitCode::kConfig,
        {.what = fmt::format("the attention biases of this {} model are not supported", arch),
         .expected = config.family == Family::kQwen2 ? "biases of q, k and v only"
                                                     : "biases of q, k, v and o, or none",
         .where = file.path().string()});
  }
  config.mlp_bias = file.find_tensor("blk.0.ffn_gate.bias") != nullptr;
  if (config.mlp_bias && config.family != Family::kLlama) {
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("feed-forward biases in a {} model are not supported", arch),
                 .where = file.path().string()});
  }
  config.qk_norm = config.family == Family::kQwen3;
}

// The end of a text first, then the other tokens at which generation stops.
void read_token_ids(const GgufFields& fields, ModelConfig& config) {
  const IntegerRange range = {.min = 0, .max = config.vocab_size - 1};
  config.bos_token_id = fields.integer("tokenizer.ggml.bos_token_id", range);
  for (const char* name : {"eos", "eot", "eom"}) {
    const std::optional<int64_t> id =
        fields.integer(fmt::format("tokenizer.ggml.{}_token_id", name), range);
    std::vector<int64_t>& ids = config.eos_token_ids;
    if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
  }
}

Json ids_json(const std::vector<int64_t>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? Json(ids.front()) : Json(ids);
}

Json rope_scaling_json(const RopeConfig& rope) {
  switch (rope.kind) {
    case RopeKind::kDefault:
      return nullptr;
    case RopeKind::kLinear:
      return {{"rope_type", "linear"}, {"factor", rope.factor}};
    case RopeKind::kLlama3:
      return {{"rope_type", "llama3"},
              {"factor", rope.factor},
              {"low_freq_factor", rope.low_freq_factor},
              {"high_freq_factor", rope.high_freq_factor},
              {"original_max_position_embeddings", rope.original_max_position_embeddings}};
    case RopeKind::kYarn:
      return {{"rope_type", "yarn"},
              {"factor", rope.factor},
              {"beta_fast", rope.beta_fast},
              {"beta_slow", rope.beta_slow},
              {"original_max_position_embeddings", rope.original_max_position_embeddings}};
  }
  return nullptr;
}

}  // namespace

std::string torch_dtype_name(DType dtype) {
  assert(dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32);
  return dtype == DType::kBF16 ? "bfloat16" : dtype == DType::kF16 ? "float16" : "float32";
}

ModelConfig read_gguf_config(const GgufFile& file, DType dtype) {
  const GgufFields fields(file);
  const Architecture& architecture = find_architecture(fields);
  const std::string arch(architecture.gguf_name);
  refuse_unsupported(fields, arch);
  ModelConfig config;
  config.family = architecture.family;
  config.architecture = architecture.class_name;
  config.dtype = torch_dtype_name(dtype);
  read_sizes(fields, arch, config);
  read_heads(fields, arch, config);
  read_from_tensors(file, fields, arch, config);
  config.rope = read_gguf_rope(file, arch, config.head_dim);
  read_token_ids(fields, config);
  return config;
}

Json make_config_json(const ModelConfig& config, const Json& pad_token_id) {
  Json json = {
      {"architectures", Json::array({config.architecture})},
      {"attention_dropout", 0.0},
      {"bos_token_id", config.bos_token_id ? Json(*config.bos_token_id) : Json(nullptr)},
      {"eos_token_id", ids_json(config.eos_token_ids)},
      {"head_dim", config.head_dim},
      {"hidden_act", "silu"},
      {"hidden_size", config.hidden_size},
      {"initializer_range", 0.02},
      {"intermediate_size", config.intermediate_size},
      {"max_position_embeddings", config.max_position_embeddings},
      {"model_type", architecture_of(config.family).model_type},
      {"num_attention_heads", config.num_heads},
      {"num_hidden_layers", config.num_layers},
      {"num_key_value_heads", config.num_kv_heads},
      {"pad_token_id", pad_token_id},
      {"rms_norm_eps", config.rms_norm_eps},
      {"rope_scaling", rope_scaling_json(config.rope)},
      {"rope_theta", config.rope.theta},
      {"tie_word_embeddings", config.tie_word_embeddings},
      {"torch_dtype", config.dtype},
      {"use_cache", true},
      {"vocab_size", config.vocab_size},
  };
  if (config.family != Family::kQwen2) json["attention_bias"] = config.attention_bias;
  if (config.family == Family::kLlama) json["mlp_bias"] = config.mlp_bias;
  if (config.family != Family::kLlama) json["use_sliding_window"] = false;
  return json;
}

Json make_generation_config_json(const ModelConfig& config, const Json& pad_token_id) {
  Json json = Json::object();
  if (config.bos_token_id) json["bos_token_id"] = *config.bos_token_id;
  if (!config.eos_token_ids.empty()) json["eos_token_id"] = ids_json(config.eos_token_ids);
  if (!pad_token_id.is_null()) json["pad_token_id"] = pad_token_id;
  return json;
}

}  // namespace rung::format
