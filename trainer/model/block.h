// One decoder block: Llama, Mistral, Qwen2 and Qwen3 differ only in biases and head norms.
//
//   qkv = project(norm(x), q k v);  head norms (Qwen3);  rotary embedding
//   x   = x + project(attention(qkv), o)
//   gu  = project(norm(x), gate up)
//   x   = x + project(silu(gate) * up, down)
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "format/model_config.h"
#include "model/weight_reader.h"
#include "ops/attention.h"
#include "ops/head_norm.h"
#include "ops/input_stage.h"
#include "ops/linear_group.h"
#include "ops/precision.h"
#include "ops/project.h"
#include "ops/rope.h"

namespace rung::model {

struct Block {
  ops::NormInput input_norm;
  ops::LinearGroup qkv;
  std::optional<ops::HeadNorm> head_norm;
  ops::LinearGroup attention_out;
  ops::NormInput post_attention_norm;
  ops::LinearGroup gate_up;
  ops::LinearGroup down;

  std::vector<ops::LinearGroup*> groups() { return {&qkv, &attention_out, &gate_up, &down}; }
  std::vector<const ops::LinearGroup*> groups() const {
    return {&qkv, &attention_out, &gate_up, &down};
  }
};

// Where the keys and values of this pass go and are read from; training has none.
struct CacheAccess {
  std::vector<ops::KvCache>* layers = nullptr;  // one a block
  at::Tensor rows;                              // [tokens] int32, cache row of each new token
};

// What every block of one pass shares. Must outlive the graphs made with it.
struct PassContext {
  ops::Precision precision;
  ops::AttentionHeads heads;
  ops::RopeTable rope;
  at::Tensor positions;  // [tokens] int32
  ops::AttentionDocuments documents;
  at::Tensor dropout_rows;  // [tokens] int64, keys; undefined: no dropout
  int64_t mlp_tile = 0;     // tokens that the MLP takes at a time where no graph is made; 0: all
  CacheAccess cache;
  ops::WeightCache* weights = nullptr;  // of the block that is recomputed
};

// Reads the block's weights ("model.layers.<index>...").
Block read_block(const WeightReader& reader, const format::ModelConfig& config, int64_t index);

// Some consecutive tokens of a pass.
struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

// The residual stream between the halves of a block, not added up: the MLP's norm does that in its
// own pass.
struct Middle {
  at::Tensor stream;  // [tokens, hidden]
  at::Tensor update;  // [tokens, hidden], of the attention
};

// x [tokens, hidden] -> x and attention(x).
Middle attention_half(const Block& block, int64_t index, const at::Tensor& x, PassContext& context);

// Adds up: in the memory of the update, without a graph.
at::Tensor sum_of(const Middle& middle);

// With m = stream + update [rows.count, hidden] of the tokens `rows` (update may be undefined):
// returns m + mlp(m). `output` says whether the result's value will be read.
at::Tensor mlp_half(const Block& block, Middle middle, const RowRange& rows,
                    const PassContext& context, ops::Output output);

// Both halves: x [tokens, hidden] -> [tokens, hidden].
at::Tensor block_forward(const Block& block, int64_t index, const at::Tensor& x,
                         PassContext& context, ops::Output output);

}  // namespace rung::model
