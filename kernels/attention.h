// Causal attention over packed documents: out = softmax(scale * q k' + causal mask) v, per head,
// with grouped key-value heads (query head h reads key-value head h * num_kv_heads / num_heads).
//
// Computed in tiles with an online softmax: no [tokens, tokens] array exists. Tiles are float,
// whatever T is; the results are rounded once. The bits do not depend on the number of threads.
// Source: FlashAttention-2, https://arxiv.org/abs/2307.08691.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/dtype.h"

namespace rung::kernels {

inline constexpr int64_t kMaxHeadDim = 256;

// Heads of a token are contiguous: head h of row r of q lies at q + r * q_stride + h * head_dim.
struct AttentionShape {
  int64_t num_heads = 0;  // a multiple of num_kv_heads
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;    // 1 .. kMaxHeadDim
  int64_t num_q_rows = 0;  // rows of q and out; the stride between heads of lse
  int64_t q_stride = 0;    // elements between rows
  int64_t k_stride = 0;
  int64_t v_stride = 0;
  int64_t out_stride = 0;
  float scale = 1.0f;  // of the scores before softmax
};

// One document: rows [q_begin, q_begin + num_q) of q and [k_begin, k_begin + num_k) of k and v,
// num_k >= num_q. Query i of it sees its keys 0 .. num_k - num_q + i, so one new token with a cache
// is num_q = 1. q ranges of segments are disjoint.
struct AttentionSegment {
  int64_t q_begin = 0;
  int64_t num_q = 0;
  int64_t k_begin = 0;
  int64_t num_k = 0;
};

// What the forward pass read and wrote.
template <typename T>
struct AttentionSaved {
  const T* q = nullptr;
  const T* k = nullptr;
  const T* v = nullptr;
  const T* out = nullptr;
  const float* lse = nullptr;
};

template <typename T>
struct AttentionGradients {
  const T* dout = nullptr;
  T* dq = nullptr;
  T* dk = nullptr;
  T* dv = nullptr;
  int64_t dout_stride = 0;  // elements between rows
  int64_t dq_stride = 0;
  int64_t dk_stride = 0;
  int64_t dv_stride = 0;
};

namespace cpu {

// Sets the rows of out that lie in a segment and, unless lse is null, their entries of
// lse [num_heads, num_q_rows]: log(sum(exp(scores))), natural logarithm. T: float, bf16, fp16.
template <typename T>
void attention_forward(const T* q, const T* k, const T* v, const AttentionShape& shape,
                       std::span<const AttentionSegment> segments, T* out, float* lse);

// Floats that attention_backward needs as workspace (at least 1 row of statistics a head; of
// 16-bit types it also accumulates dq, dk and dv there).
template <typename T>
int64_t attention_backward_workspace(const AttentionShape& shape,
                                     std::span<const AttentionSegment> segments);

// Sets dq, dk and dv in the rows of the segments. k ranges of segments must be disjoint here. The
// gradients must not overlap the inputs. workspace: attention_backward_workspace<T> floats.
template <typename T>
void attention_backward(const AttentionSaved<T>& saved, const AttentionShape& shape,
                        std::span<const AttentionSegment> segments,
                        const AttentionGradients<T>& gradients, float* workspace);

}  // namespace cpu

}  // namespace rung::kernels
