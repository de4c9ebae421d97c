#include "ops/attention.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <cstring>

#include "memory/counter.h"
#include "ops/dispatch.h"
#include "ops/graph.h"

namespace rung::ops {
namespace {

using kernels::cpu::AttentionGradients;
using kernels::cpu::AttentionSaved;
using kernels::cpu::AttentionSegment;
using kernels::cpu::AttentionShape;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// q, k and v lie side by side in a row of qkv; in a cache k and v have rows of their own.
AttentionShape packed_shape(const at::Tensor& qkv, const AttentionHeads& heads) {
  return {.num_heads = heads.num_heads,
          .num_kv_heads = heads.num_kv_heads,
          .head_dim = heads.head_dim,
          .num_q_rows = qkv.size(0),
          .q_stride = qkv.size(1),
          .k_stride = qkv.size(1),
          .v_stride = qkv.size(1),
          .out_stride = heads.num_heads * heads.head_dim,
          .scale = heads.scale};
}

template <typename T>
AttentionSaved<T> saved_pointers(const at::Tensor& qkv, const AttentionHeads& heads,
                                 const at::Tensor& out, const at::Tensor& lse) {
  const T* q = data_of<T>(qkv);
  const T* k = q + heads.num_heads * heads.head_dim;
  return {.q = q,
          .k = k,
          .v = k + heads.num_kv_heads * heads.head_dim,
          .out = data_of<T>(out),
          .lse = data_of<float>(lse)};
}

class AttentionNode final : public torch::autograd::Node {
 public:
  AttentionNode(const at::Tensor& qkv, const AttentionHeads& heads,
                const AttentionSegments& segments, at::Tensor out, at::Tensor lse)
      : qkv_(qkv, /*is_output=*/false),
        heads_(heads),
        segments_(segments),
        out_(std::move(out)),
        lse_(std::move(lse)) {}

  // dout [tokens, num_heads * head_dim] -> dqkv, laid out as qkv.
  variable_list apply(variable_list&& grads) override {
    const c10::NoGradGuard no_grad;
    const at::Tensor qkv = qkv_.unpack();
    qkv_.reset_data();
    const at::Tensor dout = grads[0].contiguous();
    at::Tensor dqkv = at::empty(qkv.sizes(), qkv.options());
    with_type(qkv.scalar_type(), [&]<typename T>() { run<T>(qkv, dout, dqkv); });
    release_variables();
    return {dqkv};
  }

  void release_variables() override {
    qkv_.reset_data();
    out_.reset();
    lse_.reset();
  }
  std::string name() const override { return "Attention"; }

 private:
  template <typename T>
  void run(const at::Tensor& qkv, const at::Tensor& dout, at::Tensor& dqkv) const {
    const AttentionShape shape = packed_shape(qkv, heads_);
    const memory::ComponentScope scope(memory::Component::kWorkspace);
    const at::Tensor workspace =
        at::empty({kernels::cpu::attention_backward_workspace<T>(shape, segments_)},
                  qkv.options().dtype(c10::kFloat));
    if (qkv.is_meta()) return;
    T* dq = data_of<T>(dqkv);
    T* dk = dq + heads_.num_heads * heads_.head_dim;
    const AttentionGradients<T> gradients{.dout = data_of<T>(dout),
                                          .dq = dq,
                                          .dk = dk,
                                          .dv = dk + heads_.num_kv_heads * heads_.head_dim,
                                          .dout_stride = dout.size(1),
                                          .dq_stride = dqkv.size(1),
                                          .dk_stride = dqkv.size(1),
                                          .dv_stride = dqkv.size(1)};
    kernels::cpu::attention_backward<T>(saved_pointers<T>(qkv, heads_, out_, lse_), shape,
                                        segments_, gradients, workspace.data_ptr<float>());
  }

  SavedVariable qkv_;
  AttentionHeads heads_;
  const AttentionSegments& segments_;
  // Plain tensors: `out` is this node's own output, and a SavedVariable of it would need the node
  // to unpack. Its readers keep it but never write to it.
  at::Tensor out_;  // [tokens, num_heads * head_dim]
  at::Tensor lse_;  // [num_heads, tokens]
};

}  // namespace

at::Tensor attention(const at::Tensor& qkv, const AttentionHeads& heads,
                     const AttentionSegments& segments) {
  at::Tensor out;
  at::Tensor lse;
  {
    const c10::NoGradGuard no_grad;
    out = at::empty({qkv.size(0), heads.num_heads * heads.head_dim}, qkv.options());
    lse = at::empty({heads.num_heads, qkv.size(0)}, qkv.options().dtype(c10::kFloat));
    if (!qkv.is_meta()) {
      with_type(qkv.scalar_type(), [&]<typename T>() {
        const AttentionSaved<T> p = saved_pointers<T>(qkv, heads, out, lse);
        kernels::cpu::attention_forward<T>(p.q, p.k, p.v, packed_shape(qkv, heads), segments,
                                           data_of<T>(out), data_of<float>(lse));
      });
    }
  }
  if (wants_gradient(qkv)) {
    record<AttentionNode>({qkv}, out, qkv, heads, segments, out.detach(), lse);
  }
  return out;
}

at::Tensor attention_cached(const at::Tensor& qkv, const AttentionHeads& heads,
                            const AttentionSegments& segments, KvCache& cache,
                            std::span<const int32_t> cache_rows) {
  const c10::NoGradGuard no_grad;
  const int64_t kv_features = heads.num_kv_heads * heads.head_dim;
  at::Tensor out = at::empty({qkv.size(0), heads.num_heads * heads.head_dim}, qkv.options());
  with_type(qkv.scalar_type(), [&]<typename T>() {
    const T* q = data_of<T>(qkv);
    const T* k = q + heads.num_heads * heads.head_dim;
    T* cached_k = data_of<T>(cache.k);
    T* cached_v = data_of<T>(cache.v);
    const size_t row_bytes = static_cast<size_t>(kv_features) * sizeof(T);
    for (size_t token = 0; token < cache_rows.size(); ++token) {
      const T* row = k + static_cast<int64_t>(token) * qkv.size(1);
      std::memcpy(cached_k + cache_rows[token] * kv_features, row, row_bytes);
      std::memcpy(cached_v + cache_rows[token] * kv_features, row + kv_features, row_bytes);
    }
    AttentionShape shape = packed_shape(qkv, heads);
    shape.k_stride = kv_features;
    shape.v_stride = kv_features;
    kernels::cpu::attention_forward<T>(q, cached_k, cached_v, shape, segments, data_of<T>(out),
                                       nullptr);
  });
  return out;
}

}  // namespace rung::ops
