#include "ops/head_loss.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <vector>

#include "kernels/cross_entropy.h"
#include "memory/counter.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"
#include "ops/rows.h"

namespace rung::ops {
namespace {

using memory::Component;
using memory::ComponentScope;

constexpr int64_t kTileBytes = int64_t{32} << 20;  // of the head in the GEMM dtype at a time

// The supervised rows of a batch.
struct Rows {
  std::vector<int32_t> index;
  std::vector<int32_t> targets;
};

Rows supervised_rows(std::span<const int32_t> targets) {
  Rows rows;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] < 0) continue;
    rows.index.push_back(static_cast<int32_t>(i));
    rows.targets.push_back(targets[i]);
  }
  return rows;
}

// `index` with its first entry repeated until the number of rows suits the GEMMs.
std::vector<int32_t> with_padding(std::span<const int32_t> index, const Precision& precision) {
  const int64_t multiple = row_multiple(precision);
  const auto count = static_cast<int64_t>(index.size());
  std::vector<int32_t> padded(index.begin(), index.end());
  padded.resize(static_cast<size_t>((count + multiple - 1) / multiple * multiple), index.front());
  return padded;
}

// Calls f(first, tile [rows, hidden] in the GEMM dtype) for the head's vocabulary range by range,
// so that a head in another dtype is never widened whole.
template <typename F>
void for_each_tile(const at::Tensor& weight, c10::ScalarType gemm, F&& f) {
  if (weight.scalar_type() == gemm) {
    f(0, weight);
    return;
  }
  const int64_t row_bytes = weight.size(1) * static_cast<int64_t>(c10::elementSize(gemm));
  const int64_t tile = std::max<int64_t>(1, kTileBytes / row_bytes);
  for (int64_t first = 0; first < weight.size(0); first += tile) {
    const int64_t rows = std::min(tile, weight.size(0) - first);
    f(first, as_dtype(weight.narrow(0, first, rows), gemm));
  }
}

// logits [rows, vocab] = h W'.
void compute_logits(at::Tensor& logits, const at::Tensor& h, const at::Tensor& weight) {
  for_each_tile(weight, h.scalar_type(), [&](int64_t first, const at::Tensor& tile) {
    at::Tensor columns = logits.narrow(1, first, tile.size(0));
    gemm_set(columns, h, tile.t());
  });
}

// dh [rows, hidden] = dlogits W.
void compute_dh(at::Tensor& dh, const at::Tensor& dlogits, const at::Tensor& weight) {
  for_each_tile(weight, dh.scalar_type(), [&](int64_t first, const at::Tensor& tile) {
    const at::Tensor columns = dlogits.narrow(1, first, tile.size(0));
    if (first == 0) {
      gemm_set(dh, columns, tile);
    } else {
      gemm_add(dh, columns, tile);
    }
  });
}

// Replaces logits by their gradient where grad_scale is given; returns the sum of the rows' losses.
double cross_entropy_(at::Tensor& logits, std::span<const int32_t> targets,
                      std::optional<float> grad_scale) {
  at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(c10::kFloat));
  if (logits.is_meta()) return 0.0;
  with_type(logits.scalar_type(), [&]<typename T>() {
    kernels::cpu::cross_entropy<T>(data_of<T>(logits), targets.data(), logits.size(0),
                                   logits.size(1), logits.stride(0), grad_scale,
                                   losses.data_ptr<float>());
  });
  double sum = 0.0;
  const float* loss = losses.const_data_ptr<float>();
  for (int64_t i = 0; i < losses.numel(); ++i) sum += loss[i];
  return sum;
}

}  // namespace

HeadLoss head_loss(const at::Tensor& x, const Head& head, std::span<const int32_t> targets,
                   const HeadLossOptions& options) {
  TORCH_INTERNAL_ASSERT(static_cast<int64_t>(targets.size()) == x.size(0));
  const c10::NoGradGuard no_grad;
  const ComponentScope scope(Component::kHead);
  HeadLoss result;
  const Rows rows = supervised_rows(targets);
  const auto num_rows = static_cast<int64_t>(rows.index.size());
  const int64_t vocab = head.weight.size(0);
  const auto element = static_cast<int64_t>(c10::elementSize(options.precision.gemm));
  const int64_t chunk = std::max<int64_t>(1, options.chunk_bytes / (vocab * element));
  if (options.grad_scale) result.dx = at::zeros(x.sizes(), x.options());
  for (int64_t first = 0; first < num_rows; first += chunk) {
    const auto count = static_cast<size_t>(std::min(chunk, num_rows - first));
    const std::span index = std::span(rows.index).subspan(static_cast<size_t>(first), count);
    const std::span chunk_targets =
        std::span(rows.targets).subspan(static_cast<size_t>(first), count);
    const at::Tensor chunk_x = gather_rows(x, with_padding(index, options.precision));
    const StagedInput staged = stage_forward(head.norm, chunk_x, options.precision);
    at::Tensor logits = at::empty({chunk_x.size(0), vocab}, staged.h.options());
    compute_logits(logits, staged.h, head.weight);
    const auto rows_used = static_cast<int64_t>(count);
    at::Tensor used = logits.narrow(0, 0, rows_used);
    result.loss_sum += cross_entropy_(used, chunk_targets, options.grad_scale);
    if (!options.grad_scale) continue;
    if (!logits.is_meta()) logits.narrow(0, rows_used, logits.size(0) - rows_used).zero_();
    at::Tensor dh = at::empty(staged.h.sizes(), staged.h.options());
    compute_dh(dh, logits, head.weight);
    const at::Tensor dx = stage_backward(head.norm, dh, chunk_x, staged.rstd, options.precision);
    scatter_rows(result.dx, index, dx.narrow(0, 0, rows_used));
  }
  return result;
}

at::Tensor head_logits(const at::Tensor& x, const Head& head, const Precision& precision) {
  const c10::NoGradGuard no_grad;
  const ComponentScope scope(Component::kHead);
  const StagedInput staged = stage_forward(head.norm, x, precision);
  at::Tensor logits = at::empty({x.size(0), head.weight.size(0)}, staged.h.options());
  compute_logits(logits, staged.h, head.weight);
  return as_dtype(logits, c10::kFloat);
}

}  // namespace rung::ops
