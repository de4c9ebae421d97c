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

struct HeadLossOptions {
  Precision precision;
  std::optional<float> grad_scale;  // d(step loss) / d(token loss); none: no gradient is wanted
  int64_t chunk_bytes = 48 << 20;   // logits at a time
};

struct HeadLoss {
  double loss_sum = 0.0;  // sum of token losses; 0 on the meta device
  at::Tensor dx;          // [tokens, hidden] compute dtype; undefined without grad_scale
};

// x [tokens, hidden] compute dtype; targets [tokens], negative where nothing is learnt.
// Source: log-softmax cross-entropy; chunking as in https://arxiv.org/abs/2410.10989.
HeadLoss head_loss(const at::Tensor& x, const Head& head, std::span<const int32_t> targets,
                   const HeadLossOptions& options);

// Logits fp32 [rows, vocab] of x [rows, hidden]: for generation.
at::Tensor head_logits(const at::Tensor& x, const Head& head, const Precision& precision);

}  // namespace rung::ops
