#include "ops/attention.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "memory/counter.h"
#include "ops/attention_kernels.h"
#include "ops/graph.h"
#include "ops/rows.h"
#include "ops/upload.h"

namespace rung::ops {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// What FlashAttention-2 takes (source: aten/src/ATen/native/transformers/cuda/sdp_utils.cpp).
constexpr int64_t kFlashHeadMultiple = 8;
constexpr int64_t kFlashMostFeatures = 256;

// Heads that cuDNN takes on every chip (source: check_cudnn_tensor_shapes there); wider ones, which
// it takes on some, were not tried. Below so many tokens there is little to gain.
constexpr int64_t kCudnnHeadMultiple = 8;
constexpr int64_t kCudnnMostFeatures = 128;
constexpr int64_t kCudnnLeastLength = 1024;

struct AttentionPasses {
  AttentionResult (*forward)(const QkvViews&, const AttentionHeads&, const AttentionDocuments&);
  at::Tensor (*backward)(const QkvViews&, const AttentionResult&, const at::Tensor&,
                         const AttentionHeads&, const AttentionDocuments&);
};

AttentionPasses passes_of(const QkvViews& x, const AttentionHeads& heads,
                          const AttentionDocuments& documents) {
  if (is_for_cudnn(x, heads, documents)) return {&cudnn_attention, &cudnn_attention_backward};
  switch (heads.kernel) {
    case AttentionKernel::kTiled:
      return {&tiled_attention, &tiled_attention_backward};
    case AttentionKernel::kFlash:
      return {&flash_attention, &flash_attention_backward};
    case AttentionKernel::kProducts:
      return {&products_attention, &products_attention_backward};
  }
  TORCH_INTERNAL_ASSERT(false);
}

AttentionResult run_forward(const QkvViews& x, const AttentionHeads& heads,
                            const AttentionDocuments& documents) {
  return passes_of(x, heads, documents).forward(x, heads, documents);
}

class AttentionNode final : public torch::autograd::Node {
 public:
  AttentionNode(const at::Tensor& qkv, const AttentionHeads& heads,
                const AttentionDocuments& documents, AttentionResult saved)
      : passes_(passes_of(split_qkv(qkv, heads), heads, documents)),
        qkv_(qkv, /*is_output=*/false),
        heads_(heads),
        documents_(documents),
        saved_(std::move(saved)) {}

  // dout [tokens, num_heads * head_dim] -> dqkv, laid out as qkv.
  variable_list apply(variable_list&& grads) override {
    const c10::NoGradGuard no_grad;
    const memory::ComponentScope scope(memory::Component::kActivations);  // graph.h says why
    const at::Tensor qkv = qkv_.unpack();
    qkv_.reset_data();
    const at::Tensor dout = grads[0].contiguous();
    const QkvViews x = split_qkv(qkv, heads_);
    at::Tensor dqkv = passes_.backward(x, saved_, dout, heads_, documents_);
    release_variables();
    return {dqkv};
  }

  void release_variables() override {
    qkv_.reset_data();
    saved_ = {};
  }
  std::string name() const override { return "Attention"; }

 private:
  AttentionPasses passes_;
  SavedVariable qkv_;
  AttentionHeads heads_;
  const AttentionDocuments& documents_;
  // `out` in here is this node's own output, and a SavedVariable of it would need the node to
  // unpack. Its readers keep it but never write to it.
  AttentionResult saved_;
};

}  // namespace

AttentionKernel attention_kernel_for(c10::DeviceType device, c10::ScalarType compute,
                                     int64_t head_dim) {
  if (device != c10::kCUDA) return AttentionKernel::kTiled;
  const bool is_half = compute == c10::kBFloat16 || compute == c10::kHalf;
  return is_half && head_dim % kFlashHeadMultiple == 0 && head_dim <= kFlashMostFeatures
             ? AttentionKernel::kFlash
             : AttentionKernel::kProducts;
}

bool prefers_cudnn(int64_t architecture, int64_t head_dim, int64_t length) {
  return architecture == 90 && length >= kCudnnLeastLength && head_dim % kCudnnHeadMultiple == 0 &&
         head_dim <= kCudnnMostFeatures;
}

QkvViews split_qkv(const at::Tensor& qkv, const AttentionHeads& heads) {
  const int64_t q_features = heads.num_heads * heads.head_dim;
  const int64_t kv_features = heads.num_kv_heads * heads.head_dim;
  return {qkv.narrow(1, 0, q_features), qkv.narrow(1, q_features, kv_features),
          qkv.narrow(1, q_features + kv_features, kv_features)};
}

at::Tensor make_dqkv(const QkvViews& x) {
  const memory::ComponentScope scope(memory::Component::kActivations);
  return at::empty({x.q.size(0), x.q.size(1) + x.k.size(1) + x.v.size(1)}, x.q.options());
}

AttentionResult make_result(const QkvViews& x, const AttentionHeads& heads) {
  const int64_t tokens = x.q.size(0);
  return {.out = at::empty({tokens, heads.num_heads * heads.head_dim}, x.q.options()),
          .lse = at::empty({heads.num_heads, tokens}, x.q.options().dtype(c10::kFloat))};
}

AttentionDocuments make_documents(std::vector<kernels::AttentionSegment> segments,
                                  AttentionKernel kernel, c10::Device device) {
  AttentionDocuments documents{.segments = std::move(segments)};
  if (kernel != AttentionKernel::kFlash) return documents;
  std::vector<int32_t> cu_q = {0};
  std::vector<int32_t> cu_k;
  std::vector<int32_t> num_keys;
  int64_t keys_end = 0;
  bool gaps = false;  // between the keys of two segments, as a cache has them
  for (const kernels::AttentionSegment& segment : documents.segments) {
    gaps = gaps || segment.k_begin != keys_end;
    keys_end = segment.k_begin + segment.num_k;
    cu_q.push_back(static_cast<int32_t>(segment.q_begin + segment.num_q));
    cu_k.push_back(static_cast<int32_t>(segment.k_begin));
    num_keys.push_back(static_cast<int32_t>(segment.num_k));
    documents.max_q = std::max(documents.max_q, segment.num_q);
    documents.max_k = std::max(documents.max_k, segment.num_k);
  }
  cu_k.push_back(static_cast<int32_t>(keys_end));
  const auto put = [&](const std::vector<int32_t>& values) {
    return upload(std::span<const int32_t>(values), device);
  };
  documents.cu_q = put(cu_q);
  documents.cu_k = put(cu_k);
  if (gaps) documents.num_keys = put(num_keys);
  return documents;
}

at::Tensor attention(const at::Tensor& qkv, const AttentionHeads& heads,
                     const AttentionDocuments& documents) {
  AttentionResult result;
  {
    const c10::NoGradGuard no_grad;
    result = run_forward(split_qkv(qkv, heads), heads, documents);
  }
  const at::Tensor out = result.out;
  if (wants_gradient(qkv)) {
    result.out = out.detach();
    record<AttentionNode>({qkv}, {out}, qkv, heads, documents, std::move(result));
  }
  return out;
}

at::Tensor attention_cached(const at::Tensor& qkv, const AttentionHeads& heads,
                            const AttentionDocuments& documents, KvCache& cache,
                            const at::Tensor& cache_rows) {
  const c10::NoGradGuard no_grad;
  QkvViews x = split_qkv(qkv, heads);
  scatter_rows(cache.k, cache_rows, x.k.contiguous());
  scatter_rows(cache.v, cache_rows, x.v.contiguous());
  x.k = cache.k;
  x.v = cache.v;
  return run_forward(x, heads, documents).out;
}

}  // namespace rung::ops
