// Causal attention inside each document of a packed batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "kernels/attention.h"

namespace rung::ops {

struct AttentionHeads {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  float scale = 1.0f;  // of the scores before softmax
};

using AttentionSegments = std::vector<kernels::cpu::AttentionSegment>;

// Given qkv [tokens, (num_heads + 2 * num_kv_heads) * head_dim] (q, k rotated already), returns out
// [tokens, num_heads * head_dim]. Tokens see the earlier ones of their own segment. Differentiable;
// keeps qkv, out and the log-sum-exps [num_heads, tokens] (FlashAttention-2,
// https://arxiv.org/abs/2307.08691). `segments` must outlive the graph.
at::Tensor attention(const at::Tensor& qkv, const AttentionHeads& heads,
                     const AttentionSegments& segments);

// Keys and values of earlier tokens: [slots, num_kv_heads * head_dim] each.
struct KvCache {
  at::Tensor k;
  at::Tensor v;
};

// Inference: writes k and v of qkv's tokens into cache rows cache_rows [tokens], then attends to
// the cache. Segment keys count rows of the cache. Returns out [tokens, num_heads * head_dim].
at::Tensor attention_cached(const at::Tensor& qkv, const AttentionHeads& heads,
                            const AttentionSegments& segments, KvCache& cache,
                            std::span<const int32_t> cache_rows);

}  // namespace rung::ops
