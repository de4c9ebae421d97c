// Final norm, output head and cross-entropy over the supervised tokens only, in chunks; the
// gradient is made in the forward pass, so logits of the whole batch never exist.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>

#include "ops/input_stage.h"
#include "ops/precision.h"

namespace rung::ops {

struct Head {
  NormInput norm;
  at::Tensor
      weight;  // [vocab, hidden] compute dtype; the embedding table where embeddings are tied
};

// The tokens of a batch that something is learnt from, on the batch's device.
struct SupervisedRows {
  int64_t count = 0;
  // Padded to what suits the GEMMs (padded_rows): the padding names row 0 again and has target -1.
  at::Tensor index;    // [count + padding] int32, rows of x
  at::Tensor targets;  // [count + padding] int32, the ids to predict
};

// Those of targets [tokens], negative where nothing is learnt.
SupervisedRows supervised_rows(std::span<const int32_t> targets, const Precision& precision,
                               c10::Device device);

struct HeadLossOptions {
  Precision precision;
  std::optional<float> grad_scale;  // d(step loss) / d(token loss); none: no gradient is wanted
  int64_t chunk_bytes = int64_t{48} << 20;  // logits at a time
};

struct HeadLoss {
  at::Tensor loss_sum;  // [1] fp64 on the device: sum of token losses
  at::Tensor dx;        // [tokens, hidden] compute dtype; undefined without grad_scale
};

// x [tokens, hidden] compute dtype. Nothing waits for the device: loss_sum is read by the caller,
// when it needs it. Source: log-softmax cross-entropy; chunking as in
// https://arxiv.org/abs/2410.10989.
HeadLoss head_loss(const at::Tensor& x, const Head& head, const SupervisedRows& rows,
                   const HeadLossOptions& options);

// Logits fp32 [rows, vocab] of x [rows, hidden]: for generation.
at::Tensor head_logits(const at::Tensor& x, const Head& head, const Precision& precision);

}  // namespace rung::ops
