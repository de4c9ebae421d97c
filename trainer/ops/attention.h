// Causal attention inside each document of a packed batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kernels/attention.h"

namespace rung::ops {

enum class AttentionKernel {
  kTiled,     // rung's own, on the CPU
  kFlash,     // ATen's FlashAttention-2, on CUDA, or cuDNN's (cudnn_length)
  kProducts,  // matrix products and a softmax, for what FlashAttention-2 does not take
};

// The one for these heads on this kind of device.
AttentionKernel attention_kernel_for(c10::DeviceType device, c10::ScalarType compute,
                                     int64_t head_dim);

// Whether a GPU of this architecture (90: sm_90) is better served with cuDNN's attention than with
// FlashAttention-2 where all documents have `length` tokens: long ones on Hopper, where it was
// measured (docs/benchmarks/gpu.md), and nothing else.
bool prefers_cudnn(int64_t architecture, int64_t head_dim, int64_t length);

struct AttentionHeads {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  float scale = 1.0f;  // of the scores before softmax
  AttentionKernel kernel = AttentionKernel::kTiled;
  // kFlash: > 0, that of the GPU, where the backward pass is to add up in a fixed order.
  int64_t num_multiprocessors = 0;
  // kFlash: > 0, batches whose documents all have so many tokens go to cuDNN, in no fixed order. It
  // compiles a graph for every shape and keeps it: so one length, that of full rows.
  int64_t cudnn_length = 0;
};

// Which tokens see which: the documents (or sequences with a cache) of one batch.
struct AttentionDocuments {
  std::vector<kernels::AttentionSegment> segments;

  // The same for kFlash, on the device, one entry a segment; undefined for the others.
  at::Tensor cu_q;      // [segments + 1] int32, offsets of their queries
  at::Tensor cu_k;      // [segments + 1] int32, offsets of their keys
  at::Tensor num_keys;  // [segments] int32, keys in use from the offset on; undefined: all of them
  int64_t max_q = 0;
  int64_t max_k = 0;
};

// Documents over `segments`, which are in ascending order of their queries and cover all of them.
AttentionDocuments make_documents(std::vector<kernels::AttentionSegment> segments,
                                  AttentionKernel kernel, c10::Device device);

// Given qkv [tokens, (num_heads + 2 * num_kv_heads) * head_dim] (q, k rotated already), returns out
// [tokens, num_heads * head_dim]. Tokens see the earlier ones of their own document.
// Differentiable; keeps qkv, out and the log-sum-exps (FlashAttention-2,
// https://arxiv.org/abs/2307.08691). `documents` must outlive the graph.
at::Tensor attention(const at::Tensor& qkv, const AttentionHeads& heads,
                     const AttentionDocuments& documents);

// Keys and values of earlier tokens: [slots, num_kv_heads * head_dim] each.
struct KvCache {
  at::Tensor k;
  at::Tensor v;
};

// Inference: writes k and v of qkv's tokens into cache rows cache_rows [tokens] int32, then attends
// to the cache. Keys of the documents count rows of the cache. Returns out [tokens, num_heads *
// head_dim].
at::Tensor attention_cached(const at::Tensor& qkv, const AttentionHeads& heads,
                            const AttentionDocuments& documents, KvCache& cache,
                            const at::Tensor& cache_rows);

}  // namespace rung::ops
