#include "format/gguf_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <utility>

#include "base/error.h"
#include "format/gguf_rope.h"

namespace rung::format {

namespace {

class Planner {
 public:
  Planner(const GgufFile& file, const ModelConfig& config) : file_(file), config_(config) {}

  std::vector<ImportedTensor> plan() {
    const int64_t vocab = config_.vocab_size;
    const int64_t hidden = config_.hidden_size;
    add("token_embd.weight", "model.embed_tokens.weight", {vocab, hidden});
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) add_layer(layer);
    add("output_norm.weight", "model.norm.weight", {hidden});
    if (!config_.tie_word_embeddings) add("output.weight", "lm_head.weight", {vocab, hidden});
    refuse_others();
    return std::move(plan_);
  }

 private:
  void add_layer(int64_t layer) {
    const std::string from = fmt::format("blk.{}.", layer);
    const std::string to = fmt::format("model.layers.{}.", layer);
    const int64_t hidden = config_.hidden_size;
    const int64_t wide = config_.intermediate_size;
    const int64_t q_rows = config_.num_heads * config_.head_dim;
    const int64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    const RowOrder order =
        config_.family == Family::kLlama ? RowOrder::kInterleavedHeads : RowOrder::kAsStored;
    const bool bias = config_.attention_bias;
    const bool out_bias = config_.attention_out_bias;

    add(from + "attn_norm.weight", to + "input_layernorm.weight", {hidden});
    add_linear(from + "attn_q", to + "self_attn.q_proj", {q_rows, hidden}, bias, order);
    add_linear(from + "attn_k", to + "self_attn.k_proj", {kv_rows, hidden}, bias, order);
    add_linear(from + "attn_v", to + "self_attn.v_proj", {kv_rows, hidden}, bias);
    add_linear(from + "attn_output", to + "self_attn.o_proj", {hidden, q_rows}, out_bias);
    if (config_.qk_norm) {
      add(from + "attn_q_norm.weight", to + "self_attn.q_norm.weight", {config_.head_dim});
      add(from + "attn_k_norm.weight", to + "self_attn.k_norm.weight", {config_.head_dim});
    }
    add(from + "ffn_norm.weight", to + "post_attention_layernorm.weight", {hidden});
    add_linear(from + "ffn_gate", to + "mlp.gate_proj", {wide, hidden}, config_.mlp_bias);
    add_linear(from + "ffn_up", to + "mlp.up_proj", {wide, hidden}, config_.mlp_bias);
    add_linear(from + "ffn_down", to + "mlp.down_proj", {hidden, wide}, config_.mlp_bias);
  }

  void add_linear(const std::string& from, const std::string& to, const std::vector<int64_t>& shape,
                  bool has_bias, RowOrder order = RowOrder::kAsStored) {
    add(from + ".weight", to + ".weight", shape, order);
    if (has_bias) add(from + ".bias", to + ".bias", {shape.front()}, order);
  }

  void add(const std::string& from, const std::string& to, const std::vector<int64_t>& shape,
           RowOrder order = RowOrder::kAsStored) {
    const GgufTensor* source = file_.find_tensor(from);
    if (source == nullptr) {
      throw Error(ExitCode::kDamaged,
                  {.what = fmt::format("tensor {} is missing", from),
                   .expected = fmt::format("shape [{}]", fmt::join(shape, ", ")),
                   .hint = "the file does not hold the model that its keys describe",
                   .where = file_.path().string()});
    }
    if (source->shape != shape) {
      throw Error(ExitCode::kDamaged,
                  {.what = fmt::format("tensor {} has another shape than the keys imply", from),
                   .got = fmt::format("[{}]", fmt::join(source->shape, ", ")),
                   .expected = fmt::format("[{}]", fmt::join(shape, ", ")),
                   .where = file_.path().string()});
    }
    used_.insert(from);
    plan_.push_back({.name = to, .source = source, .row_order = order});
  }

  void refuse_others() const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (tensor.name == kRopeFactorsTensor || used_.contains(tensor.name)) continue;
      throw Error(
          ExitCode::kConfig,
          {.what = fmt::format("tensor {} has no place in {}", tensor.name, config_.architecture),
           .hint = "leaving it out would change the model, so it is not imported",
           .where = file_.path().string()});
    }
  }

  const GgufFile& file_;
  const ModelConfig& config_;
  std::vector<ImportedTensor> plan_;
  std::set<std::string> used_;
};

}  // namespace

std::vector<ImportedTensor> plan_gguf_tensors(const GgufFile& file, const ModelConfig& config) {
  return Planner(file, config).plan();
}

int64_t interleaved_row(int64_t row, int64_t head_dim) {
  const int64_t head = row / head_dim;
  const int64_t within = row % head_dim;
  const int64_t half = head_dim / 2;
  return head * head_dim + within % half * 2 + within / half;
}

}  // namespace rung::format
