// Picking and placing whole rows: embedding lookup, the supervised tokens of a batch, caches.
#pragma once

#include <ATen/core/Tensor.h>

namespace rung::ops {

// Rows table[index[i]] of a table [rows, cols] as a new tensor [indices, cols]; index int32 on the
// same device. Every index must lie inside the table (checked on the host by whoever made them).
at::Tensor gather_rows(const at::Tensor& table, const at::Tensor& index);

// target[index[i]] = rows[i]; no index twice.
void scatter_rows(const at::Tensor& target, const at::Tensor& index, const at::Tensor& rows);

}  // namespace rung::ops
