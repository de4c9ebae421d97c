#include "model/transformer.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <utility>

#include "memory/counter.h"
#include "memory/transfers.h"
#include "model/folder_weights.h"
#include "model/rope_table.h"
#include "model/training_pass.h"
#include "ops/dropout.h"
#include "ops/kernel_set.h"
#include "ops/rows.h"
#include "ops/upload.h"

namespace rung::model {
namespace {

using memory::Component;
using memory::ComponentScope;

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

at::Tensor read_embedding(const WeightReader& reader, const format::ModelConfig& config,
                          const ModelOptions& options) {
  const std::string name = "model.embed_tokens.weight";
  const std::vector<int64_t> shape = {config.vocab_size, config.hidden_size};
  if (!options.embedding_on_host) return reader.dense(name, shape);
  TORCH_CHECK(!config.tie_word_embeddings, "a tied embedding is the head, which is on the device");
  at::Tensor table = memory::transfers_of(options.device).pageable(shape, options.compute);
  if (!options.device.is_meta()) reader.read_into(name, table);
  return table;
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
  embedding_ = read_embedding(reader, config, options);
  if (options.num_streamed > 0) {
    streamed_blocks_ =
        std::make_unique<StreamedBlocks>(memory::transfers_of(options.device),
                                         spread_blocks(options.num_streamed, config.num_layers));
  }
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const ComponentScope scope(Component::kBaseWeights);
    Block block = read_block(reader, config, i);
    if (streamed_blocks_) streamed_blocks_->adopt(i, block);
    blocks_.push_back(std::move(block));
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
  return elements * static_cast<int64_t>(c10::elementSize(precision_.compute));
}

void Transformer::make_weights_resident() {
  const ComponentScope scope(Component::kBaseWeights);
  for (Block& block : blocks_) {
    for (ops::LinearGroup* group : block.groups()) {
      group->resident_weight = ops::stacked_weight(*group, precision_, options_.device);
    }
  }
}

at::Tensor Transformer::embed_from_host(std::span<const int32_t> ids) const {
  const ComponentScope scope(Component::kBlockInputs);
  at::Tensor x = at::empty({std::ssize(ids), config_.hidden_size},
                           at::TensorOptions(options_.device).dtype(options_.compute));
  const at::Tensor rows = memory::transfers_of(options_.device).pinned(x.sizes(), options_.compute);
  if (x.is_meta()) return x;
  const at::Tensor index =
      at::from_blob(const_cast<int32_t*>(ids.data()), {std::ssize(ids)}, c10::kInt);
  ops::kernels_of(c10::kCPU).gather_rows(embedding_, index, rows);
  // The allocator of pinned memory keeps the rows' block until the copy has run.
  x.copy_(rows, /*non_blocking=*/true);
  return x;
}

at::Tensor Transformer::embed(std::span<const int32_t> ids) const {
  if (options_.embedding_on_host) return embed_from_host(ids);
  const at::Tensor index = ops::upload(ids, options_.device);
  const ComponentScope scope(Component::kBlockInputs);
  return ops::gather_rows(embedding_, index);
}

at::Tensor Transformer::forward(at::Tensor x, PassContext& context) const {
  const c10::NoGradGuard no_grad;
  for (int64_t i = 0; i < num_blocks(); ++i) {
    if (streamed_blocks_) streamed_blocks_->enter(i, Direction::kForward);
    x = block_forward(blocks_[static_cast<size_t>(i)], i, x, context, ops::Output::kComputed);
  }
  return x;
}

PassContext Transformer::make_context(std::span<const int32_t> positions) const {
  PassContext context;
  context.precision = precision_;
  context.heads = {
      .num_heads = config_.num_heads,
      .num_kv_heads = config_.num_kv_heads,
      .head_dim = config_.head_dim,
      .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
      .kernel = ops::attention_kernel_for(precision_.device, precision_.compute, config_.head_dim),
      .num_multiprocessors = options_.deterministic_multiprocessors,
      .cudnn_length = options_.cudnn_attention_length};
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
  context.mlp_tile = options.memory.mlp_tile;
  if (options.memory.checkpoints == Checkpoints::kOnHost && !host_inputs_) {
    host_inputs_ =
        std::make_unique<HostInputs>(memory::transfers_of(options_.device), num_blocks());
  }
  TrainingPass pass({.blocks = blocks_,
                     .context = context,
                     .host_inputs = host_inputs_.get(),
                     .streamed_blocks = streamed_blocks_.get()},
                    options.memory);
  at::Tensor x = pass.forward(embed(batch.input_ids));
  const auto rows = ops::supervised_rows(batch.targets, precision_, options_.device);
  ops::HeadLoss loss = ops::head_loss(x, head_, rows,
                                      {.precision = precision_,
                                       .grad_scale = options.grad_scale,
                                       .chunk_bytes = options.memory.head_chunk_bytes});
  x.reset();
  pass.backward(std::move(loss.dx));
  return loss.loss_sum;
}

at::Tensor Transformer::loss(const data::MicroBatch& documents,
                             const MemorySettings& memory) const {
  const c10::NoGradGuard no_grad;
  const data::MicroBatch batch = with_padding(documents, precision_);
  PassContext context = batch_context(batch);
  context.mlp_tile = memory.mlp_tile;
  const at::Tensor x = forward(embed(batch.input_ids), context);
  const auto rows = ops::supervised_rows(batch.targets, precision_, options_.device);
  return ops::head_loss(x, head_, rows,
                        {.precision = precision_, .chunk_bytes = memory.head_chunk_bytes})
      .loss_sum;
}

}  // namespace rung::model
