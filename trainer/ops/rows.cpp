#include "ops/rows.h"

#include <ATen/ops/empty.h>

#include "ops/kernel_set.h"

namespace rung::ops {

at::Tensor gather_rows(const at::Tensor& table, const at::Tensor& index) {
  TORCH_INTERNAL_ASSERT(table.dim() == 2 && table.is_contiguous() && index.is_contiguous());
  at::Tensor rows = at::empty({index.numel(), table.size(1)}, table.options());
  kernels_of(table).gather_rows(table, index, rows);
  return rows;
}

void scatter_rows(const at::Tensor& target, const at::Tensor& index, const at::Tensor& rows) {
  TORCH_INTERNAL_ASSERT(target.is_contiguous() && rows.is_contiguous() && index.is_contiguous() &&
                        rows.size(0) == index.numel());
  kernels_of(target).scatter_rows(rows, index, target);
}

}  // namespace rung::ops
