#include "ops/rows.h"

#include <ATen/ops/empty.h>

#include <cstring>

namespace rung::ops {

at::Tensor gather_rows(const at::Tensor& table, std::span<const int32_t> index) {
  TORCH_INTERNAL_ASSERT(table.dim() == 2 && table.is_contiguous());
  at::Tensor rows = at::empty({static_cast<int64_t>(index.size()), table.size(1)}, table.options());
  if (rows.is_meta()) return rows;
  const size_t row_bytes = static_cast<size_t>(table.size(1)) * table.element_size();
  const auto* from = static_cast<const std::byte*>(table.const_data_ptr());
  auto* to = static_cast<std::byte*>(rows.data_ptr());
  for (const int32_t row : index) {
    std::memcpy(to, from + static_cast<size_t>(row) * row_bytes, row_bytes);
    to += row_bytes;
  }
  return rows;
}

void scatter_rows(at::Tensor& target, std::span<const int32_t> index, const at::Tensor& rows) {
  TORCH_INTERNAL_ASSERT(target.is_contiguous() && rows.is_contiguous() &&
                        rows.size(0) == static_cast<int64_t>(index.size()));
  if (target.is_meta()) return;
  const size_t row_bytes = static_cast<size_t>(target.size(1)) * target.element_size();
  const auto* from = static_cast<const std::byte*>(rows.const_data_ptr());
  auto* to = static_cast<std::byte*>(target.data_ptr());
  for (const int32_t row : index) {
    std::memcpy(to + static_cast<size_t>(row) * row_bytes, from, row_bytes);
    from += row_bytes;
  }
}

}  // namespace rung::ops
