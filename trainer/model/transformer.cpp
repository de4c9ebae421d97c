#include "model/transformer.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <utility>

#include "memory/counter.h"
#include "model/folder_weights.h"
#include "model/rope_table.h"
#include "ops/dropout.h"
#include "ops/rows.h"
#include "ops/upload.h"

namespace rung::model {
namespace {

using memory::Component;
using memory::ComponentScope;

// What the backward pass needs of a block: its input, and where the graph was kept its output.
struct BlockRecord {
  at::Tensor input;
  at::Tensor output;
};

// `batch` with a document of its own at the end that nothing is learnt from, so that the number of
// tokens suits the GEMMs; the batch itself where it does already.
data::MicroBatch with_padding(data::MicroBatch batch, const ops::Precision& precision) {
  const int64_t padded = ops::padded_rows(batch.num_tokens(), precision);
  if (padded == batch.num_tokens()) return batch;
  const auto size = static_cast<size_t>(padded);
  batch.input_ids.resize(size, 0);
  batch.targets.resize(size, data::kIgnore);
  batch.positions.resize(size, 0);
  batch.cu_seqlens.push_back(static_cast<int32_t>(size));
  batch.documents.push_back(-1);
  return batch;
}

// Makes the graph of one block, rooted in a fresh leaf.
BlockRecord record_block(const Block& block, int64_t index, const at::Tensor& x,
                         PassContext& context, ops::Output output) {
  BlockRecord record;
  record.input = x.detach().requires_grad_(true);
  const c10::AutoGradMode grad(true);
  record.output = block_forward(block, index, record.input, context, output);
  return record;
}

std::unique_ptr<const WeightSource> weights_of(const format::ModelFolder* folder) {
  if (folder == nullptr) return nullptr;
  return std::make_unique<FolderWeights>(*folder);
}

}  // namespace

Transformer::Transformer(const format::ModelConfig& config, const format::ModelFolder* folder,
                         const ModelOptions& options)
    : Transformer(config, weights_of(folder), options) {}

Transformer::Transformer(const format::ModelConfig& config,
                         std::unique_ptr<const WeightSource> weights, const ModelOptions& options)
    : config_(config),
      options_(options),
      precision_(ops::precision_for(
          options.compute, options.device.is_meta() ? options.stands_for : options.device.type())) {
  const WeightReader reader(
      std::move(weights),
      {.compute = options.compute, .format = options.base, .device = options.device});
  embedding_ = reader.dense("model.embed_tokens.weight", {config.vocab_size, config.hidden_size});
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const ComponentScope scope(Component::kBaseWeights);
    blocks_.push_back(read_block(reader, config, i));
  }
  head_.norm = {reader.dense("model.norm.weight", {config.hidden_size}), config.rms_norm_eps};
  head_.weight = config.tie_word_embeddings
                     ? embedding_
                     : reader.dense("lm_head.weight", {config.vocab_size, config.hidden_size});
  const ComponentScope scope(Component::kBaseWeights);
  rope_ = make_rope_table(config.rope, config.head_dim, options.max_positions, options.device);
}

std::vector<std::string> Transformer::linear_modules() const {
  std::vector<std::string> modules;
  for (const Block& block : blocks_) {
    for (const ops::LinearGroup* group : block.groups()) {
      for (const ops::Linear& member : group->members) modules.push_back(member.module);
    }
  }
  return modules;
}

void Transformer::add_adapter(const AdapterOptions& options) {
  TORCH_INTERNAL_ASSERT(!adapter_.defined());
  std::vector<ops::LinearGroup*> groups;
  for (Block& block : blocks_) {
    for (ops::LinearGroup* group : block.groups()) groups.push_back(group);
  }
  adapter_ = Adapter(groups, options, options_.device);
}

int64_t Transformer::resident_bytes() const {
  int64_t elements = 0;
  for (const Block& block : blocks_) {
    for (const ops::LinearGroup* group : block.groups()) {
      elements += group->in_features * group->out_features;
    }
  }
  return elements * static_cast<int64_t>(c10::elementSize(precision_.gemm));
}

void Transformer::make_weights_resident() {
  const ComponentScope scope(Component::kBaseWeights);
  for (Block& block : blocks_) {
    for (ops::LinearGroup* group : block.groups()) {
      group->resident_weight = ops::stacked_weight(*group, precision_, options_.device);
    }
  }
}

at::Tensor Transformer::embed(std::span<const int32_t> ids) const {
  const at::Tensor index = ops::upload(ids, options_.device);
  const ComponentScope scope(Component::kBlockInputs);
  return ops::gather_rows(embedding_, index);
}

at::Tensor Transformer::forward(at::Tensor x, PassContext& context) const {
  const c10::NoGradGuard no_grad;
  for (int64_t i = 0; i < num_blocks(); ++i) {
    x = block_forward(blocks_[static_cast<size_t>(i)], i, x, context, ops::Output::kComputed);
  }
  return x;
}

PassContext Transformer::make_context(std::span<const int32_t> positions) const {
  PassContext context;
  context.precision = precision_;
  context.heads = {.num_heads = config_.num_heads,
                   .num_kv_heads = config_.num_kv_heads,
                   .head_dim = config_.head_dim,
                   .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                   .kernel = precision_.device == c10::kCUDA ? ops::AttentionKernel::kFlash
                                                             : ops::AttentionKernel::kTiled};
  context.rope = rope_;
  context.positions = ops::upload(positions, options_.device);
  return context;
}

PassContext Transformer::batch_context(const data::MicroBatch& batch) const {
  PassContext context = make_context(batch.positions);
  std::vector<kernels::AttentionSegment> segments;
  for (size_t i = 0; i + 1 < batch.cu_seqlens.size(); ++i) {
    const int64_t begin = batch.cu_seqlens[i];
    const int64_t count = batch.cu_seqlens[i + 1] - begin;
    if (count == 0) continue;
    segments.push_back({.q_begin = begin, .num_q = count, .k_begin = begin, .num_k = count});
  }
  context.documents =
      ops::make_documents(std::move(segments), context.heads.kernel, options_.device);
  return context;
}

at::Tensor Transformer::train(const data::MicroBatch& documents, const TrainOptions& options) {
  const c10::NoGradGuard no_grad;
  const data::MicroBatch batch = with_padding(documents, precision_);
  PassContext context = batch_context(batch);
  if (blocks_.front().qkv.dropout > 0.0) {
    context.dropout_rows = ops::dropout_row_keys({.seed = options.dropout.seed,
                                                  .step = options.dropout.step,
                                                  .documents = batch.documents,
                                                  .cu_seqlens = batch.cu_seqlens,
                                                  .positions = batch.positions},
                                                 options_.device);
  }
  std::vector<BlockRecord> records(blocks_.size());
  at::Tensor x = embed(batch.input_ids);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    if (index < options.num_recomputed) {
      records[i].input = x;
      x = block_forward(blocks_[i], index, x, context, ops::Output::kComputed);
    } else {
      records[i] = record_block(blocks_[i], index, x, context, ops::Output::kComputed);
      x = records[i].output.detach();
    }
  }
  const auto rows = ops::supervised_rows(batch.targets, precision_, options_.device);
  ops::HeadLoss loss =
      ops::head_loss(x, head_, rows, {.precision = precision_, .grad_scale = options.grad_scale});
  x.reset();
  at::Tensor gradient = std::move(loss.dx);
  for (size_t i = blocks_.size(); i-- > 0;) {
    ops::WeightCache weights;  // outlives the graph that `record` holds
    BlockRecord record = std::move(records[i]);
    if (!record.output.defined()) {
      if (options.dequantisation == Dequantisation::kOnceABlock) context.weights = &weights;
      record = record_block(blocks_[i], static_cast<int64_t>(i), record.input, context,
                            ops::Output::kUnread);
    }
    const ComponentScope scope(Component::kActivations);
    gradient = torch::autograd::grad({record.output}, {record.input}, {gradient}).front();
    context.weights = nullptr;
  }
  return loss.loss_sum;
}

at::Tensor Transformer::loss(const data::MicroBatch& documents) const {
  const c10::NoGradGuard no_grad;
  const data::MicroBatch batch = with_padding(documents, precision_);
  PassContext context = batch_context(batch);
  const at::Tensor x = forward(embed(batch.input_ids), context);
  const auto rows = ops::supervised_rows(batch.targets, precision_, options_.device);
  return ops::head_loss(x, head_, rows, {.precision = precision_}).loss_sum;
}

}  // namespace rung::model
