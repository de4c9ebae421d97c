// A decoder-only language model with a frozen base and a trainable adapter.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "data/loader.h"
#include "format/model_folder.h"
#include "model/adapter.h"
#include "model/block.h"
#include "model/host_inputs.h"
#include "model/memory_settings.h"
#include "model/streamed_blocks.h"
#include "ops/head_loss.h"

namespace rung::model {

struct ModelOptions {
  c10::ScalarType compute = c10::kFloat;  // kFloat, kBFloat16 or kHalf
  BaseFormat base = BaseFormat::kNf4;
  int64_t max_positions = 0;  // rows of the RoPE table: the longest document
  c10::Device device = c10::kCPU;
  // Of a shape-only model (device kMeta): the device whose allocations it repeats.
  c10::DeviceType stands_for = c10::kCPU;
  // > 0: attention on a GPU with so many multiprocessors adds up in a fixed order.
  int64_t deterministic_multiprocessors = 0;
  // > 0: attention of batches whose documents all have so many tokens goes to cuDNN
  // (ops/attention.h).
  int64_t cudnn_attention_length = 0;
  // The embedding table in host memory: rows are looked up there and sent. Not with tied weights,
  // where it is the head, too.
  bool embedding_on_host = false;
  int64_t num_streamed = 0;  // blocks whose quantised weights are streamed from host memory
};

// Which dropout mask a pass draws (design of the mask: kernels/lora_dropout.h).
struct DropoutSeed {
  uint64_t seed = 0;
  int64_t step = 0;  // optimizer step
};

struct TrainOptions {
  float grad_scale = 1.0f;  // d(step loss) / d(token loss)
  MemorySettings memory;
  DropoutSeed dropout;
};

class Transformer {
 public:
  // Reads the weights. folder: null on the meta device.
  Transformer(const format::ModelConfig& config, const format::ModelFolder* folder,
              const ModelOptions& options);
  // The same from any source.
  Transformer(const format::ModelConfig& config, std::unique_ptr<const WeightSource> weights,
              const ModelOptions& options);
  Transformer(Transformer&&) = default;

  const format::ModelConfig& config() const { return config_; }
  const ops::Precision& precision() const { return precision_; }
  const ModelOptions& options() const { return options_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  int64_t num_blocks() const { return static_cast<int64_t>(blocks_.size()); }
  std::vector<std::string> linear_modules() const;  // paths of all block linears

  // Gives the linears of `options.modules` an adapter. Once.
  void add_adapter(const AdapterOptions& options);
  Adapter& adapter() { return adapter_; }
  const Adapter& adapter() const { return adapter_; }

  // Inference: stacks every group's weight in the GEMM dtype once, instead of dequantising it in
  // each pass.
  void make_weights_resident();
  int64_t resident_bytes() const;  // what that takes

  // x [tokens, hidden] of ids (all inside the vocabulary).
  at::Tensor embed(std::span<const int32_t> ids) const;
  // The blocks over x without gradients.
  at::Tensor forward(at::Tensor x, PassContext& context) const;
  const ops::Head& head() const { return head_; }

  PassContext make_context(std::span<const int32_t> positions) const;

  // Forward and backward of one micro-batch: adds to adapter().gradients(). Returns the sum of the
  // token losses, [1] fp64 on the device.
  at::Tensor train(const data::MicroBatch& documents, const TrainOptions& options);
  // Likewise, without gradients or dropout; of the settings tiles and head chunks count.
  at::Tensor loss(const data::MicroBatch& documents, const MemorySettings& memory = {}) const;

 private:
  PassContext batch_context(const data::MicroBatch& batch) const;
  at::Tensor embed_from_host(std::span<const int32_t> ids) const;

  format::ModelConfig config_;
  ModelOptions options_;
  ops::Precision precision_;
  at::Tensor embedding_;  // [vocab, hidden] compute dtype
  std::vector<Block> blocks_;
  std::unique_ptr<HostInputs> host_inputs_;          // made when first used
  std::unique_ptr<StreamedBlocks> streamed_blocks_;  // null: none is streamed
  ops::Head head_;
  ops::RopeTable rope_;
  Adapter adapter_;
};

}  // namespace rung::model
