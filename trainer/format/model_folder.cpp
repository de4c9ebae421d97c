#include "format/model_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <utility>

#include "base/error.h"
#include "format/json_fields.h"

namespace rung::format {

namespace {

constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kEmbedding = "model.embed_tokens.weight";

using Shapes = std::map<std::string, std::vector<int64_t>>;

void add_attention(const ModelConfig& config, const std::string& prefix, Shapes& shapes) {
  const int64_t queries = config.num_heads * config.head_dim;
  const int64_t keys = config.num_kv_heads * config.head_dim;
  shapes[prefix + "q_proj.weight"] = {queries, config.hidden_size};
  shapes[prefix + "k_proj.weight"] = {keys, config.hidden_size};
  shapes[prefix + "v_proj.weight"] = {keys, config.hidden_size};
  shapes[prefix + "o_proj.weight"] = {config.hidden_size, queries};
  if (config.attention_bias) {
    shapes[prefix + "q_proj.bias"] = {queries};
    shapes[prefix + "k_proj.bias"] = {keys};
    shapes[prefix + "v_proj.bias"] = {keys};
  }
  if (config.attention_out_bias) shapes[prefix + "o_proj.bias"] = {config.hidden_size};
  if (config.qk_norm) {
    shapes[prefix + "q_norm.weight"] = {config.head_dim};
    shapes[prefix + "k_norm.weight"] = {config.head_dim};
  }
}

void add_feed_forward(const ModelConfig& config, const std::string& prefix, Shapes& shapes) {
  shapes[prefix + "gate_proj.weight"] = {config.intermediate_size, config.hidden_size};
  shapes[prefix + "up_proj.weight"] = {config.intermediate_size, config.hidden_size};
  shapes[prefix + "down_proj.weight"] = {config.hidden_size, config.intermediate_size};
  if (!config.mlp_bias) return;
  shapes[prefix + "gate_proj.bias"] = {config.intermediate_size};
  shapes[prefix + "up_proj.bias"] = {config.intermediate_size};
  shapes[prefix + "down_proj.bias"] = {config.hidden_size};
}

bool is_linear(const std::string& name) { return name.ends_with("_proj.weight"); }

std::string dtype_as_in_config(DType dtype) {
  if (dtype == DType::kF32) return "float32";
  return dtype == DType::kF16 ? "float16" : "bfloat16";
}

}  // namespace

std::map<std::string, std::vector<int64_t>> expected_tensors(const ModelConfig& config) {
  Shapes shapes;
  shapes[std::string(kEmbedding)] = {config.vocab_size, config.hidden_size};
  shapes["model.norm.weight"] = {config.hidden_size};
  if (!config.tie_word_embeddings) {
    shapes[std::string(kHead)] = {config.vocab_size, config.hidden_size};
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    shapes[prefix + "input_layernorm.weight"] = {config.hidden_size};
    shapes[prefix + "post_attention_layernorm.weight"] = {config.hidden_size};
    add_attention(config, prefix + "self_attn.", shapes);
    add_feed_forward(config, prefix + "mlp.", shapes);
  }
  return shapes;
}

ModelFolder::ModelFolder(std::filesystem::path path)
    : path_(std::move(path)), config_(read_model_config(path_ / "config.json")), shards_(path_) {
  check_tensors();
  read_generation_config();
  if (config_.dtype.empty()) {
    config_.dtype = dtype_as_in_config(info(std::string(kEmbedding)).dtype);
  }
}

void ModelFolder::check_tensors() {
  if (config_.tie_word_embeddings) shards_.forget(std::string(kHead));
  std::set<std::string> explained;
  for (const auto& [name, shape] : expected_tensors(config_)) {
    explained.insert(name);
    if (config_.bnb && is_linear(name) && is_bnb_4bit(shards_, name)) {
      BnbNf4Weight weight = read_bnb_nf4(shards_, name, shape);
      for (std::string& companion : companions_of(weight)) explained.insert(std::move(companion));
      nf4_weights_.emplace(name, std::move(weight));
    } else {
      check_dense(name, shape);
    }
  }
  for (const std::string& name : shards_.names()) {
    if (explained.contains(name)) continue;
    if (name.ends_with(".rotary_emb.inv_freq")) {
      shards_.forget(name);
      continue;
    }
    throw Error(ExitCode::kDamaged, {.what = "tensor '" + name + "' has no place in the model",
                                     .expected = "only tensors of a " + config_.architecture +
                                                 " as config.json describes it",
                                     .hint = "config.json and weights do not belong together",
                                     .where = shards_.place_of(name)});
  }
}

void ModelFolder::check_dense(const std::string& name, const std::vector<int64_t>& shape) const {
  if (!shards_.has(name)) {
    throw Error(ExitCode::kDamaged,
                {.what = "tensor '" + name + "' is missing",
                 .expected = fmt::format("shape {}, as config.json implies", shape),
                 .hint = "the download is incomplete, or config.json is of another model",
                 .where = path_.string()});
  }
  const TensorInfo& tensor = shards_.info(name);
  if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 && tensor.dtype != DType::kBF16) {
    throw Error(ExitCode::kConfig, {.what = "the type of tensor '" + name + "' is not supported",
                                    .got = std::string(name_of(tensor.dtype)),
                                    .expected = "F32, F16 or BF16",
                                    .where = shards_.place_of(name)});
  }
  if (tensor.shape != shape) {
    throw Error(ExitCode::kDamaged, {.what = "tensor '" + name + "' has the wrong shape",
                                     .got = fmt::format("{}", tensor.shape),
                                     .expected = fmt::format("{}, as config.json implies", shape),
                                     .where = shards_.place_of(name)});
  }
}

void ModelFolder::read_generation_config() {
  constexpr size_t kMaxBytes = size_t{1} << 20;
  const std::filesystem::path path = path_ / "generation_config.json";
  if (!std::filesystem::exists(path)) return;
  const Json json = read_json_file(path, {.max_bytes = kMaxBytes});
  std::vector<int64_t> ids = read_token_ids(JsonFields(json, path.string()), "eos_token_id");
  if (!ids.empty()) config_.eos_token_ids = std::move(ids);
}

}  // namespace rung::format
