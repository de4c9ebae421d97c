// Attention of matrix products: for fp32, and for heads that FlashAttention-2 does not take.
//
//   S = scale Q K' + causal mask    P = exp(S - lse)    O = P V
//   dV = P' dO    dS = scale P * (dO V' - rowsum(dO * O))    dQ = dS K    dK = dS' Q
//
// A tile of a document's queries at a time, so that scores take a bounded memory; they are made
// again in the backward pass. Grouped heads are one product: the queries of the heads that share a
// key are its rows. The same text runs on every device, shapes included.
#include <ATen/ops/amax.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "memory/counter.h"
#include "ops/attention_kernels.h"

namespace rung::ops {
namespace {

constexpr int64_t kScoreBytes = int64_t{32}
                                << 20;  // of one tile's scores, unless kLeastTile is more
constexpr int64_t kLeastTile = 16;      // queries, however long the document

// Queries of one document that are taken together, and the keys that any of them sees.
struct Tile {
  int64_t q_begin;  // row of x.q
  int64_t num_q;
  int64_t k_begin;  // row of x.k
  int64_t num_k;
};

// Calls visit(tile) for every tile of every document. The last query of a document sees its last
// key, the one before it one key less, and so on.
template <typename Visit>
void for_each_tile(const AttentionDocuments& documents, const AttentionHeads& heads,
                   const Visit& visit) {
  for (const kernels::AttentionSegment& segment : documents.segments) {
    const int64_t row_bytes = heads.num_heads * segment.num_k * int64_t{sizeof(float)};
    const int64_t step = std::max(kLeastTile, kScoreBytes / row_bytes);
    for (int64_t first = 0; first < segment.num_q; first += step) {
      const int64_t count = std::min(step, segment.num_q - first);
      visit(Tile{.q_begin = segment.q_begin + first,
                 .num_q = count,
                 .k_begin = segment.k_begin,
                 .num_k = segment.num_k - segment.num_q + first + count});
    }
  }
}

class TileViews {
 public:
  TileViews(const AttentionHeads& heads, const Tile& tile) : heads_(heads), tile_(tile) {}

  // x [tokens, heads * head_dim] -> [kv_heads, group * num_q, head_dim] fp32
  at::Tensor queries(const at::Tensor& x) const {
    const at::Tensor rows = x.narrow(0, tile_.q_begin, tile_.num_q)
                                .view({tile_.num_q, heads_.num_kv_heads, group(), heads_.head_dim})
                                .permute({1, 2, 0, 3});
    return rows
        .to(c10::kFloat, /*non_blocking=*/false, /*copy=*/true, c10::MemoryFormat::Contiguous)
        .view({heads_.num_kv_heads, group() * tile_.num_q, heads_.head_dim});
  }
  // x [keys, kv_heads * head_dim] -> [kv_heads, num_k, head_dim] fp32
  at::Tensor keys(const at::Tensor& x) const {
    return x.narrow(0, tile_.k_begin, tile_.num_k)
        .view({tile_.num_k, heads_.num_kv_heads, heads_.head_dim})
        .permute({1, 0, 2})
        .to(c10::kFloat, /*non_blocking=*/false, /*copy=*/true, c10::MemoryFormat::Contiguous);
  }
  // The inverse of queries(): sets those rows of x.
  void put_queries(const at::Tensor& values, const at::Tensor& x) const {
    x.narrow(0, tile_.q_begin, tile_.num_q)
        .view({tile_.num_q, heads_.num_kv_heads, group(), heads_.head_dim})
        .permute({1, 2, 0, 3})
        .copy_(values.view({heads_.num_kv_heads, group(), tile_.num_q, heads_.head_dim}));
  }
  // Adds to those rows of sums [keys, kv_heads, head_dim] fp32.
  void add_keys(const at::Tensor& values, const at::Tensor& sums) const {
    sums.narrow(0, tile_.k_begin, tile_.num_k).permute({1, 0, 2}).add_(values);
  }
  // lse [heads, queries] -> [kv_heads, group, num_q], a view
  at::Tensor log_sums(const at::Tensor& lse) const {
    return lse.narrow(1, tile_.q_begin, tile_.num_q)
        .view({heads_.num_kv_heads, group(), tile_.num_q});
  }

  // [kv_heads, group * num_q, num_k]: what no query may see is minus infinity.
  at::Tensor scores(const at::Tensor& q, const at::Tensor& k) const {
    const at::Tensor hidden =
        at::full({tile_.num_q, tile_.num_k}, -std::numeric_limits<float>::infinity(), q.options())
            .triu_(tile_.num_k - tile_.num_q + 1);
    at::Tensor scores = at::bmm(q, k.transpose(1, 2)).mul_(heads_.scale);
    scores.view({heads_.num_kv_heads, group(), tile_.num_q, tile_.num_k}).add_(hidden);
    return scores;
  }

 private:
  int64_t group() const { return heads_.num_heads / heads_.num_kv_heads; }

  const AttentionHeads& heads_;
  const Tile& tile_;
};

// [kv_heads, group, num_q] -> [kv_heads, group * num_q, 1], to go with scores
at::Tensor as_column(const at::Tensor& log_sums) {
  return log_sums.reshape({log_sums.size(0), log_sums.size(1) * log_sums.size(2), 1});
}

at::Tensor float_sums(const at::Tensor& x, const AttentionHeads& heads) {
  return at::zeros({x.size(0), heads.num_kv_heads, heads.head_dim}, x.options().dtype(c10::kFloat));
}

}  // namespace

AttentionResult products_attention(const QkvViews& x, const AttentionHeads& heads,
                                   const AttentionDocuments& documents) {
  AttentionResult result = make_result(x, heads);
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  for_each_tile(documents, heads, [&](const Tile& tile) {
    const TileViews views(heads, tile);
    at::Tensor p = views.scores(views.queries(x.q), views.keys(x.k));
    const at::Tensor largest = p.amax(-1, /*keepdim=*/true);
    p.sub_(largest).exp_();
    at::Tensor sum = p.sum(-1, /*keepdim=*/true);
    p.div_(sum);
    at::Tensor log_sums = views.log_sums(result.lse);
    log_sums.copy_(sum.log_().add_(largest).view(log_sums.sizes()));
    views.put_queries(at::bmm(p, views.keys(x.v)), result.out);
  });
  return result;
}

at::Tensor products_attention_backward(const QkvViews& x, const AttentionResult& saved,
                                       const at::Tensor& dout, const AttentionHeads& heads,
                                       const AttentionDocuments& documents) {
  at::Tensor dqkv = make_dqkv(x);
  const QkvViews gradients = split_qkv(dqkv, heads);
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  const at::Tensor dk = float_sums(x.k, heads);
  const at::Tensor dv = float_sums(x.v, heads);
  for_each_tile(documents, heads, [&](const Tile& tile) {
    const TileViews views(heads, tile);
    const at::Tensor q = views.queries(x.q);
    const at::Tensor k = views.keys(x.k);
    const at::Tensor tile_dout = views.queries(dout);
    const at::Tensor p = views.scores(q, k).sub_(as_column(views.log_sums(saved.lse))).exp_();
    views.add_keys(at::bmm(p.transpose(1, 2), tile_dout), dv);
    const at::Tensor dots = views.queries(saved.out).mul_(tile_dout).sum(-1, /*keepdim=*/true);
    const at::Tensor ds =
        at::bmm(tile_dout, views.keys(x.v).transpose(1, 2)).sub_(dots).mul_(p).mul_(heads.scale);
    views.put_queries(at::bmm(ds, k), gradients.q);
    views.add_keys(at::bmm(ds.transpose(1, 2), q), dk);
  });
  const auto place = [](const at::Tensor& sums, at::Tensor to) {
    to.copy_(sums.view({to.size(0), to.size(1)}));
  };
  place(dk, gradients.k);
  place(dv, gradients.v);
  return dqkv;
}

}  // namespace rung::ops
