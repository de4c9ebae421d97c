#include "model/block.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "memory/counter.h"

namespace rung::model {
namespace {

using memory::Component;
using memory::ComponentScope;

struct MemberSpec {
  std::string name;  // inside the block: "self_attn.q_proj"
  int64_t out_features;
  bool bias;
};

ops::LinearGroup read_group(const WeightReader& reader, const std::string& block,
                            int64_t in_features, const std::vector<MemberSpec>& specs) {
  const WeightReaderOptions& options = reader.options();
  ops::LinearGroup group;
  group.in_features = in_features;
  for (const MemberSpec& spec : specs) group.out_features += spec.out_features;
  if (options.format == BaseFormat::kDense) {
    group.resident_weight = at::empty({group.out_features, in_features},
                                      at::TensorOptions(options.device).dtype(options.compute));
  }
  int64_t row = 0;
  for (const MemberSpec& spec : specs) {
    ops::Linear member;
    member.module = block + "." + spec.name;
    member.first_row = row;
    if (options.format == BaseFormat::kDense) {
      at::Tensor rows = group.resident_weight.narrow(0, row, spec.out_features);
      reader.read_into(member.module + ".weight", rows);
      member.weight = ops::FrozenWeight::from_dense(rows);
    } else {
      member.weight = reader.quantized(member.module + ".weight", spec.out_features, in_features);
    }
    if (spec.bias) member.bias = reader.dense(member.module + ".bias", {spec.out_features});
    row += spec.out_features;
    group.members.push_back(std::move(member));
  }
  return group;
}

at::Tensor attend(const at::Tensor& qkv, int64_t index, PassContext& context) {
  CacheAccess& cache = context.cache;
  if (cache.layers == nullptr) return ops::attention(qkv, context.heads, context.documents);
  return ops::attention_cached(qkv, context.heads, context.documents,
                               (*cache.layers)[static_cast<size_t>(index)], cache.rows);
}

}  // namespace

Block read_block(const WeightReader& reader, const format::ModelConfig& config, int64_t index) {
  const std::string block = fmt::format("model.layers.{}", index);
  const int64_t q_features = config.num_heads * config.head_dim;
  const int64_t kv_features = config.num_kv_heads * config.head_dim;
  const auto norm = [&](const std::string& name) {
    return ops::NormInput{reader.dense(block + "." + name + ".weight", {config.hidden_size}),
                          config.rms_norm_eps};
  };
  Block result;
  result.input_norm = norm("input_layernorm");
  result.qkv = read_group(reader, block, config.hidden_size,
                          {{"self_attn.q_proj", q_features, config.attention_bias},
                           {"self_attn.k_proj", kv_features, config.attention_bias},
                           {"self_attn.v_proj", kv_features, config.attention_bias}});
  if (config.qk_norm) {
    result.head_norm = ops::HeadNorm{
        .q_weight = reader.dense(block + ".self_attn.q_norm.weight", {config.head_dim}),
        .k_weight = reader.dense(block + ".self_attn.k_norm.weight", {config.head_dim}),
        .eps = config.rms_norm_eps,
        .num_heads = config.num_heads,
        .num_kv_heads = config.num_kv_heads,
        .head_dim = config.head_dim};
  }
  result.attention_out =
      read_group(reader, block, q_features,
                 {{"self_attn.o_proj", config.hidden_size, config.attention_out_bias}});
  result.post_attention_norm = norm("post_attention_layernorm");
  result.gate_up = read_group(reader, block, config.hidden_size,
                              {{"mlp.gate_proj", config.intermediate_size, config.mlp_bias},
                               {"mlp.up_proj", config.intermediate_size, config.mlp_bias}});
  result.down = read_group(reader, block, config.intermediate_size,
                           {{"mlp.down_proj", config.hidden_size, config.mlp_bias}});
  return result;
}

Middle attention_half(const Block& block, int64_t index, const at::Tensor& x,
                      PassContext& context) {
  const ComponentScope scope(Component::kActivations);
  const ops::ProjectOptions options{
      .precision = context.precision, .row_keys = context.dropout_rows, .weights = context.weights};
  auto [qkv, stream] = ops::project_branch(x, /*update=*/{}, block.input_norm, block.qkv, options);
  if (block.head_norm) qkv = ops::head_norm(qkv, *block.head_norm);
  qkv = ops::rope(qkv, context.rope, context.positions,
                  context.heads.num_heads + context.heads.num_kv_heads, context.heads.head_dim);
  const at::Tensor attended = attend(qkv, index, context);
  qkv.reset();
  return {.stream = std::move(stream),
          .update = ops::project(attended, ops::PlainInput{}, block.attention_out, options)};
}

at::Tensor sum_of(const Middle& middle) {
  const c10::NoGradGuard no_grad;
  at::Tensor sum = middle.update.detach();
  if (!sum.is_meta()) sum.add_(middle.stream);
  return sum;
}

at::Tensor mlp_half(const Block& block, Middle middle, const RowRange& rows,
                    const PassContext& context, ops::Output output) {
  const ComponentScope scope(Component::kActivations);
  ops::ProjectOptions options{.precision = context.precision, .weights = context.weights};
  if (context.dropout_rows.defined()) {
    options.row_keys = context.dropout_rows.narrow(0, rows.first, rows.count);
  }
  const auto [gate_up, stream] = ops::project_branch(
      middle.stream, std::move(middle.update), block.post_attention_norm, block.gate_up, options);
  options.residual = stream;
  options.output = output;
  const ComponentScope between(Component::kBlockInputs);
  return ops::project(gate_up, ops::SwigluInput{}, block.down, options);
}

namespace {

// The MLP over tiles of tokens, so that gate and up never exist whole.
at::Tensor mlp_in_tiles(const Block& block, const at::Tensor& x, const PassContext& context) {
  const ComponentScope scope(Component::kBlockInputs);
  at::Tensor result = at::empty_like(x);
  for (int64_t first = 0; first < x.size(0); first += context.mlp_tile) {
    const RowRange rows{first, std::min(context.mlp_tile, x.size(0) - first)};
    const at::Tensor tile =
        mlp_half(block, {.stream = x.narrow(0, rows.first, rows.count), .update = {}}, rows,
                 context, ops::Output::kComputed);
    if (!result.is_meta()) result.narrow(0, rows.first, rows.count).copy_(tile);
  }
  return result;
}

}  // namespace

at::Tensor block_forward(const Block& block, int64_t index, const at::Tensor& x,
                         PassContext& context, ops::Output output) {
  Middle middle = attention_half(block, index, x, context);
  if (context.mlp_tile > 0 && context.mlp_tile < x.size(0) && !c10::GradMode::is_enabled()) {
    return mlp_in_tiles(block, sum_of(middle), context);
  }
  return mlp_half(block, std::move(middle), {0, x.size(0)}, context, output);
}

}  // namespace rung::model
