// Attention on CUDA: cuDNN's, through ATen, for batches whose documents all fill their rows.
//
// It takes rows of one length only. Documents of any length exist in ATen, too, but there the graph
// that cuDNN compiles for a shape is compiled anew at every call (docs/decisions/
// attention-of-products.md).
//
// On the meta device the tensors that ATen allocates are allocated in its place, and a block as
// large as the workspace that cuDNN asks for in the backward pass. That size was read off cuDNN
// 9.19 on an H200, at five shapes, to which tests/ops/attention_test.cpp holds it.
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <utility>

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

AttentionResult allocate_forward(const QkvViews& x, const AttentionHeads& heads) {
  AttentionResult result = make_result(x, heads);
  result.rng_state = at::empty({}, x.q.options().dtype(c10::kLong));
  result.rng_offset = at::empty_like(result.rng_state);
  return result;
}

// dq summed in fp32, rowsum(dO * O), and for grouped heads dk and dv of every query head.
int64_t workspace_bytes(const QkvViews& x, const AttentionHeads& heads) {
  constexpr int64_t kFloat = sizeof(float);
  const int64_t values = x.q.numel();
  const int64_t dots = x.q.size(0) * heads.num_heads;
  const int64_t expanded = heads.num_heads == heads.num_kv_heads ? 0 : 2 * values * 2;
  return values * kFloat + dots * kFloat + expanded + 256;
}

OwnGradients allocate_backward(const QkvViews& x, const AttentionHeads& heads) {
  OwnGradients gradients{.dq = at::empty_like(by_row(x.q, heads), at::MemoryFormat::Contiguous),
                         .dk = at::empty_like(by_row(x.k, heads), at::MemoryFormat::Contiguous),
                         .dv = at::empty_like(by_row(x.v, heads), at::MemoryFormat::Contiguous)};
  const at::Tensor workspace =
      at::empty({workspace_bytes(x, heads)}, x.q.options().dtype(c10::kByte));
  return gradients;
}

OwnGradients run_backward(const QkvViews& x, const AttentionResult& saved, const at::Tensor& dout,
                          const AttentionHeads& heads) {
  if (x.q.is_meta()) return allocate_backward(x, heads);
  const at::Tensor none;
  auto [dq, dk, dv] = at::_scaled_dot_product_cudnn_attention_backward(
      by_row(dout, heads), by_row(x.q, heads), by_row(x.k, heads), by_row(x.v, heads),
      by_row(saved.out, heads), saved.lse, saved.rng_state, saved.rng_offset, /*attn_bias=*/none,
      /*cum_seq_q=*/none, /*cum_seq_k=*/none, heads.cudnn_length, heads.cudnn_length,
      /*dropout_p=*/0.0, /*is_causal=*/true, heads.scale);
  return {.dq = std::move(dq), .dk = std::move(dk), .dv = std::move(dv)};
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
                                const AttentionDocuments&) {
  if (x.q.is_meta()) return allocate_forward(x, heads);
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
                                    const AttentionDocuments&) {
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  return gather_gradients(x, heads, run_backward(x, saved, dout, heads),
                          [&](const at::Tensor& to) { return by_row(to, heads); });
}

}  // namespace rung::ops
