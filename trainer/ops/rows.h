// Picking and placing whole rows: embedding lookup, the supervised tokens of a batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace rung::ops {

// Rows table[index[i]] as a new tensor [indices, cols]. Every index must lie inside the table
// (checked on the host by whoever made the indices). On the meta device only the result is
// allocated.
at::Tensor gather_rows(const at::Tensor& table, std::span<const int32_t> index);

// target[index[i]] = rows[i].
void scatter_rows(at::Tensor& target, std::span<const int32_t> index, const at::Tensor& rows);

}  // namespace rung::ops
