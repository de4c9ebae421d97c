// Chooses between dot products for few rows and packed blocks, and the size of the blocks.
//
// In the words of BLIS (https://github.com/flame/blis), whose loops gemm_blocked.cpp has:
//   MC  kRowBlock     rows of a that are widened into the second-level cache
//   KC  kDepthBlock   of their sums
//   NC  GemmBlocking::packed_columns, of b, in the third-level cache; threads take kColumnBlock of
//       them at most
//   NR  TileOps::panel_columns, of c, in registers; a panel's part of KC stays in the first level
//   MR  kRows in tile_ops_impl.h, likewise
#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/aligned_floats.h"
#include "kernels/gemm_blocked.h"
#include "kernels/gemm_few_rows.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kRowBlock = 96;      // rows of a that are multiplied at a time
constexpr int64_t kDepthBlock = 384;   // of a sum, likewise
constexpr int64_t kColumnBlock = 512;  // of c that a task takes at most

constexpr GemmBlocking kBlocking = {.rows = kRowBlock,
                                    .depth = kDepthBlock,
                                    .columns = kColumnBlock,
                                    .packed_floats = int64_t{4} << 20,
                                    .packed_depth = 8064,
                                    .waiting_rows = 2976};

// What gemm.h, docs/decisions/widened-gemms.md and docs/guide/memory.md promise.
constexpr bool keeps_promise(int64_t panel_columns) {
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  // All of it is rounded up to a whole huge page.
  const int64_t shared = kBlocking.most_shared_floats(panel_columns) + kHugePageFloats;
  return shared * kFloat <= int64_t{24} << 20 &&
         kBlocking.thread_floats(panel_columns) * kFloat <= int64_t{512} << 10;
}
static_assert(keeps_promise(16) && keeps_promise(32));

// Of the calling thread, for all types.
ReusedFloats& workspace() {
  static thread_local ReusedFloats floats;
  return floats;
}

// What a product has where its sums are empty.
template <typename Out>
void add_nothing(const GemmShape& shape, const GemmResult<Out>& c) {
  if (c.store == GemmStore::kAdd) return;
  for (int64_t i = 0; i < shape.m; ++i) {
    std::fill_n(c.data + i * c.row_stride, shape.n, from_float<Out>(0.0f));
  }
}

}  // namespace

template <typename T, typename Out>
void gemm(const GemmShape& shape, float alpha, const GemmOperand<T>& a, const GemmOperand<T>& b,
          const GemmResult<Out>& c) {
  if (shape.m == 0 || shape.n == 0) return;
  if (shape.k == 0) {
    add_nothing(shape, c);
  } else if (shape.m <= kGemmFewRows && a.column_stride == 1 && b.row_stride == 1) {
    gemm_few_rows(shape, alpha, a, b, c, workspace());
  } else {
    gemm_blocked(shape, alpha, a, b, c, {tile_ops(), kBlocking, workspace()});
  }
}

template void gemm(const GemmShape&, float, const GemmOperand<bf16>&, const GemmOperand<bf16>&,
                   const GemmResult<bf16>&);
template void gemm(const GemmShape&, float, const GemmOperand<bf16>&, const GemmOperand<bf16>&,
                   const GemmResult<float>&);
template void gemm(const GemmShape&, float, const GemmOperand<fp16>&, const GemmOperand<fp16>&,
                   const GemmResult<fp16>&);
template void gemm(const GemmShape&, float, const GemmOperand<fp16>&, const GemmOperand<fp16>&,
                   const GemmResult<float>&);

}  // namespace rung::kernels::cpu
