// Attention on CUDA: ATen's FlashAttention-2 with variable lengths.
//
// On the meta device the tensors that the CUDA operator allocates are allocated in its place. Which
// those are was read in aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp.
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <utility>

#include "memory/counter.h"
#include "ops/attention_kernels.h"

namespace rung::ops {
namespace {

// [tokens, heads * head_dim] -> [tokens, heads, head_dim], a view
at::Tensor by_head(const at::Tensor& x, int64_t head_dim) {
  return x.view({x.size(0), x.size(1) / head_dim, head_dim});
}

// The head dimension of the kernel that ATen picks.
int64_t rounded_head_dim(int64_t head_dim) {
  const int64_t multiple = head_dim <= 128 ? 32 : 64;
  return (head_dim + multiple - 1) / multiple * multiple;
}

AttentionResult allocate_forward(const QkvViews& x, const AttentionHeads& heads) {
  AttentionResult result = make_result(x, heads);
  result.rng_state = at::empty({2}, x.q.options().dtype(c10::kLong));
  return result;
}

// Copies of dq's sums: in a fixed order, every group of thread blocks that would race has its own.
int64_t num_sums(const AttentionHeads& heads, int64_t num_documents) {
  if (heads.num_multiprocessors == 0) return 1;
  const int64_t blocks = num_documents * heads.num_heads;
  return (heads.num_multiprocessors + blocks - 1) / blocks;
}

// Gradients of its own, and for grouped heads those of k and v once more for every query head;
// dq summed in fp32 over sequences padded to 128 rows.
OwnGradients allocate_backward(const QkvViews& x, const AttentionHeads& heads,
                               int64_t num_documents) {
  const int64_t tokens = x.q.size(0);
  const auto floats = x.q.options().dtype(c10::kFloat);
  const int64_t padded = tokens + 128 * num_documents;
  OwnGradients gradients;
  gradients.dq = at::empty({tokens, heads.num_heads, heads.head_dim}, x.q.options());
  gradients.dk = at::empty({tokens, heads.num_kv_heads, heads.head_dim}, x.q.options());
  gradients.dv = at::empty_like(gradients.dk);
  const at::Tensor dots = at::empty({heads.num_heads, padded}, floats);
  const at::Tensor sums = at::empty(
      {num_sums(heads, num_documents), padded, heads.num_heads, rounded_head_dim(heads.head_dim)},
      floats);
  if (heads.num_heads == heads.num_kv_heads) return gradients;
  const at::Tensor expanded_dk = at::empty_like(gradients.dq);
  const at::Tensor expanded_dv = at::empty_like(gradients.dq);
  return gradients;
}

OwnGradients run_backward(const QkvViews& x, const AttentionResult& saved, const at::Tensor& dout,
                          const AttentionHeads& heads, const AttentionDocuments& documents) {
  if (x.q.is_meta()) return allocate_backward(x, heads, std::ssize(documents.segments));
  const at::Tensor unused = at::empty({0}, x.q.options());
  auto [dq, dk, dv] = at::_flash_attention_backward(
      by_head(dout, heads.head_dim), by_head(x.q, heads.head_dim), by_head(x.k, heads.head_dim),
      by_head(x.v, heads.head_dim), by_head(saved.out, heads.head_dim), saved.lse, documents.cu_q,
      documents.cu_k, documents.max_q, documents.max_k, /*dropout_p=*/0.0, /*is_causal=*/true,
      saved.rng_state, unused, /*scale=*/heads.scale);
  return {.dq = std::move(dq), .dk = std::move(dk), .dv = std::move(dv)};
}

}  // namespace

AttentionResult flash_attention(const QkvViews& x, const AttentionHeads& heads,
                                const AttentionDocuments& documents) {
  if (x.q.is_meta()) return allocate_forward(x, heads);
  std::optional<at::Tensor> num_keys;
  if (documents.num_keys.defined()) num_keys = documents.num_keys;
  auto [out, lse, rng_state, unused, debug_mask] = at::_flash_attention_forward(
      by_head(x.q, heads.head_dim), by_head(x.k, heads.head_dim), by_head(x.v, heads.head_dim),
      documents.cu_q, documents.cu_k, documents.max_q, documents.max_k, /*dropout_p=*/0.0,
      /*is_causal=*/true, /*return_debug_mask=*/false, /*scale=*/heads.scale,
      /*window_size_left=*/std::nullopt, /*window_size_right=*/std::nullopt,
      /*seqused_k=*/num_keys);
  return {.out = out.view({x.q.size(0), heads.num_heads * heads.head_dim}),
          .lse = lse,
          .rng_state = rng_state};
}

at::Tensor flash_attention_backward(const QkvViews& x, const AttentionResult& saved,
                                    const at::Tensor& dout, const AttentionHeads& heads,
                                    const AttentionDocuments& documents) {
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  return gather_gradients(x, heads, run_backward(x, saved, dout, heads, documents),
                          [&](const at::Tensor& to) { return by_head(to, heads.head_dim); });
}

}  // namespace rung::ops
