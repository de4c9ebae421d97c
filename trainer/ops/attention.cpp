#include "ops/attention.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "ops/attention_kernels.h"
#include "ops/graph.h"
#include "ops/rows.h"
#include "ops/upload.h"

namespace rung::ops {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

AttentionResult run_forward(const QkvViews& x, const AttentionHeads& heads,
                            const AttentionDocuments& documents) {
  return heads.kernel == AttentionKernel::kFlash ? flash_attention(x, heads, documents)
                                                 : tiled_attention(x, heads, documents);
}

class AttentionNode final : public torch::autograd::Node {
 public:
  AttentionNode(const at::Tensor& qkv, const AttentionHeads& heads,
                const AttentionDocuments& documents, AttentionResult saved)
      : qkv_(qkv, /*is_output=*/false),
        heads_(heads),
        documents_(documents),
        saved_(std::move(saved)) {}

  // dout [tokens, num_heads * head_dim] -> dqkv, laid out as qkv.
  variable_list apply(variable_list&& grads) override {
    const c10::NoGradGuard no_grad;
    const at::Tensor qkv = qkv_.unpack();
    qkv_.reset_data();
    const at::Tensor dout = grads[0].contiguous();
    at::Tensor dqkv = at::empty(qkv.sizes(), qkv.options());
    const auto backward = heads_.kernel == AttentionKernel::kFlash ? &flash_attention_backward
                                                                   : &tiled_attention_backward;
    backward(split_qkv(qkv, heads_), saved_, dout, heads_, documents_, split_qkv(dqkv, heads_));
    release_variables();
    return {dqkv};
  }

  void release_variables() override {
    qkv_.reset_data();
    saved_ = {};
  }
  std::string name() const override { return "Attention"; }

 private:
  SavedVariable qkv_;
  AttentionHeads heads_;
  const AttentionDocuments& documents_;
  // `out` in here is this node's own output, and a SavedVariable of it would need the node to
  // unpack. Its readers keep it but never write to it.
  AttentionResult saved_;
};

}  // namespace

QkvViews split_qkv(const at::Tensor& qkv, const AttentionHeads& heads) {
  const int64_t q_features = heads.num_heads * heads.head_dim;
  const int64_t kv_features = heads.num_kv_heads * heads.head_dim;
  return {qkv.narrow(1, 0, q_features), qkv.narrow(1, q_features, kv_features),
          qkv.narrow(1, q_features + kv_features, kv_features)};
}

AttentionDocuments make_documents(std::vector<kernels::AttentionSegment> segments,
                                  AttentionKernel kernel, c10::Device device) {
  AttentionDocuments documents{.segments = std::move(segments)};
  if (kernel == AttentionKernel::kTiled) return documents;
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
    record<AttentionNode>({qkv}, out, qkv, heads, documents, std::move(result));
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
