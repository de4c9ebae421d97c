// Attention on CUDA: cuDNN's, through ATen, for batches whose documents all fill their rows.
//
// It takes rows of one length only. Documents of any length exist in ATen, too, but there the graph
// that cuDNN compiles for a shape is compiled anew at every call, 40 ms each (measured:
// docs/benchmarks/gpu.md).
//
// On the meta device what FlashAttention-2 takes is allocated: cuDNN takes no more.
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention_backward.h>

#include <algorithm>

#include "memory/counter.h"
#include "ops/attention_kernels.h"

namespace rung::ops {
namespace {

// [rows * length, heads * head_dim] -> [rows, heads, length, head_dim], a view
at::Tensor by_row(const at::Tensor& x, const AttentionHeads& heads) {
  const int64_t num_heads = x.size(1) / heads.head_dim;
  return x.view({x.size(0) / heads.cudnn_length, heads.cudnn_length, num_heads, heads.head_dim})
      .transpose(1, 2);
}

}  // namespace

bool is_for_cudnn(const QkvViews& x, const AttentionHeads& heads,
                  const AttentionDocuments& documents) {
  if (heads.kernel != AttentionKernel::kFlash || heads.cudnn_length == 0) return false;
  const int64_t tokens = std::ssize(documents.segments) * heads.cudnn_length;
  if (x.q.size(0) != tokens || x.k.size(0) != tokens) return false;
  return std::ranges::all_of(documents.segments, [&](const kernels::AttentionSegment& segment) {
    return segment.num_q == heads.cudnn_length && segment.num_k == heads.cudnn_length &&
           segment.k_begin == segment.q_begin;
  });
}

AttentionResult cudnn_attention(const QkvViews& x, const AttentionHeads& heads,
                                const AttentionDocuments& documents) {
  if (x.q.is_meta()) return flash_attention(x, heads, documents);
  const auto result = at::_scaled_dot_product_cudnn_attention(
      by_row(x.q, heads), by_row(x.k, heads), by_row(x.v, heads), /*attn_bias=*/std::nullopt,
      /*compute_log_sumexp=*/true, /*dropout_p=*/0.0, /*is_causal=*/true,
      /*return_debug_mask=*/false, heads.scale);
  // It lies as q does: token by token.
  const at::Tensor out = std::get<0>(result).transpose(1, 2);
  return {.out = out.view({x.q.size(0), x.q.size(1)}),
          .lse = std::get<1>(result),
          .rng_state = std::get<6>(result),
          .rng_offset = std::get<7>(result)};
}

at::Tensor cudnn_attention_backward(const QkvViews& x, const AttentionResult& saved,
                                    const at::Tensor& dout, const AttentionHeads& heads,
                                    const AttentionDocuments& documents) {
  if (x.q.is_meta()) return flash_attention_backward(x, saved, dout, heads, documents);
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  const at::Tensor none;
  const auto [dq, dk, dv] = at::_scaled_dot_product_cudnn_attention_backward(
      by_row(dout, heads), by_row(x.q, heads), by_row(x.k, heads), by_row(x.v, heads),
      by_row(saved.out, heads), saved.lse, saved.rng_state, saved.rng_offset, /*attn_bias=*/none,
      /*cum_seq_q=*/none, /*cum_seq_k=*/none, heads.cudnn_length, heads.cudnn_length,
      /*dropout_p=*/0.0, /*is_causal=*/true, heads.scale);
  at::Tensor dqkv = make_dqkv(x);
  const QkvViews to = split_qkv(dqkv, heads);
  by_row(to.q, heads).copy_(dq);
  by_row(to.k, heads).copy_(dk);
  by_row(to.v, heads).copy_(dv);
  return dqkv;
}

}  // namespace rung::ops
