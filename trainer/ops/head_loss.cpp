#include "ops/head_loss.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <vector>

#include "memory/counter.h"
#include "ops/gemm.h"
#include "ops/kernel_set.h"
#include "ops/rows.h"
#include "ops/upload.h"

namespace rung::ops {
namespace {

using memory::Component;
using memory::ComponentScope;

// Rows of logits at a time: as many as chunk_bytes hold, and a multiple that suits the GEMMs.
int64_t chunk_rows(const HeadLossOptions& options, int64_t vocab) {
  constexpr int64_t kTileRows = 128;  // of a GEMM's tile
  const auto row_bytes = vocab * static_cast<int64_t>(c10::elementSize(options.precision.compute));
  int64_t rows = std::max<int64_t>(1, options.chunk_bytes / row_bytes);
  if (rows > kTileRows) rows -= rows % kTileRows;
  return padded_rows(rows, options.precision);
}

// What one chunk reads and writes.
struct Chunk {
  at::Tensor index;    // [rows + padding] int32
  at::Tensor targets;  // [rows + padding] int32
  int64_t rows = 0;    // without padding
  at::Tensor losses;   // [rows + padding] fp32
};

void run_chunk(const at::Tensor& x, const Head& head, const Chunk& chunk,
               const HeadLossOptions& options, HeadLoss& result) {
  const at::Tensor chunk_x = gather_rows(x, chunk.index);
  const Normed normed = norm_forward(head.norm, chunk_x);
  at::Tensor logits = at::empty({chunk_x.size(0), head.weight.size(0)}, normed.h.options());
  gemm_set(logits, normed.h, head.weight.t(), options.precision);
  kernels_of(logits).cross_entropy(logits, chunk.targets, options.grad_scale, chunk.losses);
  if (!options.grad_scale) return;
  at::Tensor dx = at::empty(normed.h.sizes(), normed.h.options());
  gemm_set(dx, logits, head.weight, options.precision);
  norm_backward_(head.norm, dx, chunk_x, normed.rstd, /*passed=*/{});
  scatter_rows(result.dx, chunk.index.narrow(0, 0, chunk.rows), dx.narrow(0, 0, chunk.rows));
}

}  // namespace

SupervisedRows supervised_rows(std::span<const int32_t> targets, const Precision& precision,
                               c10::Device device) {
  const ComponentScope scope(Component::kHead);
  std::vector<int32_t> index;
  std::vector<int32_t> ids;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] < 0) continue;
    index.push_back(static_cast<int32_t>(i));
    ids.push_back(targets[i]);
  }
  SupervisedRows rows{.count = std::ssize(index), .index = {}, .targets = {}};
  const auto padded = static_cast<size_t>(padded_rows(rows.count, precision));
  index.resize(padded, 0);
  ids.resize(padded, -1);
  rows.index = upload(std::span<const int32_t>(index), device);
  rows.targets = upload(std::span<const int32_t>(ids), device);
  return rows;
}

HeadLoss head_loss(const at::Tensor& x, const Head& head, const SupervisedRows& rows,
                   const HeadLossOptions& options) {
  const c10::NoGradGuard no_grad;
  const ComponentScope scope(Component::kHead);
  HeadLoss result;
  if (options.grad_scale) result.dx = at::zeros(x.sizes(), x.options());
  result.loss_sum = at::zeros({1}, x.options().dtype(c10::kDouble));
  const at::Tensor losses = at::empty({rows.index.numel()}, x.options().dtype(c10::kFloat));
  const int64_t step = chunk_rows(options, head.weight.size(0));
  for (int64_t first = 0; first < rows.count; first += step) {
    const int64_t padded = std::min(step, rows.index.numel() - first);
    run_chunk(x, head,
              {.index = rows.index.narrow(0, first, padded),
               .targets = rows.targets.narrow(0, first, padded),
               .rows = std::min(padded, rows.count - first),
               .losses = losses.narrow(0, first, padded)},
              options, result);
  }
  kernels_of(losses).sum(losses.narrow(0, 0, rows.count), result.loss_sum);
  return result;
}

at::Tensor head_logits(const at::Tensor& x, const Head& head, const Precision& precision) {
  const c10::NoGradGuard no_grad;
  const ComponentScope scope(Component::kHead);
  const at::Tensor h = stage_forward(head.norm, x);
  at::Tensor logits = at::empty({x.size(0), head.weight.size(0)}, h.options());
  gemm_set(logits, h, head.weight.t(), precision);
  return as_dtype(logits, c10::kFloat);
}

}  // namespace rung::ops
