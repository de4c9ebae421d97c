// Attention on the CPU: rung's own kernel (kernels/attention.h).
#include <ATen/ops/empty.h>

#include "memory/counter.h"
#include "ops/attention_kernels.h"
#include "ops/dispatch.h"

namespace rung::ops {
namespace {

using kernels::AttentionGradients;
using kernels::AttentionSaved;
using kernels::AttentionShape;

AttentionShape shape_of(const QkvViews& x, const AttentionHeads& heads) {
  return {.num_heads = heads.num_heads,
          .num_kv_heads = heads.num_kv_heads,
          .head_dim = heads.head_dim,
          .num_q_rows = x.q.size(0),
          .q_stride = x.q.stride(0),
          .k_stride = x.k.stride(0),
          .v_stride = x.v.stride(0),
          .out_stride = heads.num_heads * heads.head_dim,
          .scale = heads.scale};
}

template <typename T>
void backward(const QkvViews& x, const AttentionResult& saved, const at::Tensor& dout,
              const AttentionShape& shape, const AttentionDocuments& documents,
              const QkvViews& dqkv) {
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  const at::Tensor workspace =
      at::empty({kernels::cpu::attention_backward_workspace<T>(shape, documents.segments)},
                x.q.options().dtype(c10::kFloat));
  if (x.q.is_meta()) return;
  const AttentionSaved<T> inputs{.q = data_of<const T>(x.q),
                                 .k = data_of<const T>(x.k),
                                 .v = data_of<const T>(x.v),
                                 .out = data_of<const T>(saved.out),
                                 .lse = saved.lse.const_data_ptr<float>()};
  const AttentionGradients<T> gradients{.dout = data_of<const T>(dout),
                                        .dq = data_of<T>(dqkv.q),
                                        .dk = data_of<T>(dqkv.k),
                                        .dv = data_of<T>(dqkv.v),
                                        .dout_stride = dout.stride(0),
                                        .dq_stride = dqkv.q.stride(0),
                                        .dk_stride = dqkv.k.stride(0),
                                        .dv_stride = dqkv.v.stride(0)};
  kernels::cpu::attention_backward(inputs, shape, documents.segments, gradients,
                                   workspace.mutable_data_ptr<float>());
}

}  // namespace

AttentionResult tiled_attention(const QkvViews& x, const AttentionHeads& heads,
                                const AttentionDocuments& documents) {
  AttentionResult result = make_result(x, heads);
  if (x.q.is_meta()) return result;
  with_type(x.q.scalar_type(), [&]<typename T>() {
    kernels::cpu::attention_forward(data_of<const T>(x.q), data_of<const T>(x.k),
                                    data_of<const T>(x.v), shape_of(x, heads), documents.segments,
                                    data_of<T>(result.out), result.lse.mutable_data_ptr<float>());
  });
  return result;
}

at::Tensor tiled_attention_backward(const QkvViews& x, const AttentionResult& saved,
                                    const at::Tensor& dout, const AttentionHeads& heads,
                                    const AttentionDocuments& documents) {
  at::Tensor dqkv = make_dqkv(x);
  with_type(x.q.scalar_type(), [&]<typename T>() {
    backward<T>(x, saved, dout, shape_of(x, heads), documents, split_qkv(dqkv, heads));
  });
  return dqkv;
}

}  // namespace rung::ops
