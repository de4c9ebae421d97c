// The attention of each device, as functions of tensors: what ops/attention.h chooses from.
#pragma once

#include <ATen/core/Tensor.h>

#include "ops/attention.h"

namespace rung::ops {

// Views of q, k and v, which lie side by side in a row of qkv [tokens, (num_heads + 2 *
// num_kv_heads) * head_dim].
struct QkvViews {
  at::Tensor q;  // [tokens, num_heads * head_dim]
  at::Tensor k;  // [tokens, num_kv_heads * head_dim]
  at::Tensor v;
};
QkvViews split_qkv(const at::Tensor& qkv, const AttentionHeads& heads);

// What the backward pass needs of the forward pass beside qkv.
struct AttentionResult {
  at::Tensor out;  // [tokens, num_heads * head_dim]
  at::Tensor lse;  // log-sum-exps of the scores, fp32, laid out as the kernel likes
  // Handed to the backward pass as they came: of FlashAttention-2, and seed and offset of cuDNN.
  at::Tensor rng_state;
  at::Tensor rng_offset;
};

// out and lse, not filled; on the meta device what they take.
AttentionResult make_result(const QkvViews& x, const AttentionHeads& heads);

// dqkv, not filled.
at::Tensor make_dqkv(const QkvViews& x);

// Those that a kernel of ATen allocates itself, in a shape of its own.
struct OwnGradients {
  at::Tensor dq;
  at::Tensor dk;
  at::Tensor dv;
};

// dqkv of them, which is allocated here, when the kernel's workspace is gone; on the meta device
// not filled. shaped: a view of q's, k's or v's columns in the kernel's shape.
template <typename Shaped>
at::Tensor gather_gradients(const QkvViews& x, const AttentionHeads& heads,
                            const OwnGradients& gradients, const Shaped& shaped) {
  at::Tensor dqkv = make_dqkv(x);
  if (x.q.is_meta()) return dqkv;
  const QkvViews to = split_qkv(dqkv, heads);
  shaped(to.q).copy_(gradients.dq);
  shaped(to.k).copy_(gradients.dk);
  shaped(to.v).copy_(gradients.dv);
  return dqkv;
}

// rung's own CPU kernel (kernels/attention.h), fp32, bf16 and fp16; on the meta device what it
// allocates.
AttentionResult tiled_attention(const QkvViews& x, const AttentionHeads& heads,
                                const AttentionDocuments& documents);
// Returns dqkv, laid out as qkv.
at::Tensor tiled_attention_backward(const QkvViews& x, const AttentionResult& saved,
                                    const at::Tensor& dout, const AttentionHeads& heads,
                                    const AttentionDocuments& documents);

// ATen's FlashAttention-2 for CUDA, bf16 and fp16, Ampere and newer; on the meta device what it
// allocates. Source of the call: aten/src/ATen/native/transformers/cuda/attention.cu.
AttentionResult flash_attention(const QkvViews& x, const AttentionHeads& heads,
                                const AttentionDocuments& documents);
at::Tensor flash_attention_backward(const QkvViews& x, const AttentionResult& saved,
                                    const at::Tensor& dout, const AttentionHeads& heads,
                                    const AttentionDocuments& documents);

// ATen's attention of cuDNN, on batches that are for it: all documents are as long as
// heads.cudnn_length. Source of the call: aten/src/ATen/native/cudnn/MHA.cpp.
bool is_for_cudnn(const QkvViews& x, const AttentionHeads& heads,
                  const AttentionDocuments& documents);
AttentionResult cudnn_attention(const QkvViews& x, const AttentionHeads& heads,
                                const AttentionDocuments& documents);
at::Tensor cudnn_attention_backward(const QkvViews& x, const AttentionResult& saved,
                                    const at::Tensor& dout, const AttentionHeads& heads,
                                    const AttentionDocuments& documents);

// Products and a softmax over tiles of queries, in fp32, on every device and in every dtype. Its
// sums have a fixed order wherever those of ATen's products do.
AttentionResult products_attention(const QkvViews& x, const AttentionHeads& heads,
                                   const AttentionDocuments& documents);
at::Tensor products_attention_backward(const QkvViews& x, const AttentionResult& saved,
                                       const at::Tensor& dout, const AttentionHeads& heads,
                                       const AttentionDocuments& documents);

}  // namespace rung::ops
