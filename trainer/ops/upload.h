// Host arrays of a batch (ids, positions, targets, keys) to tensors on its device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace rung::ops {

// [n] int32 on `device`. To a GPU through pinned memory, without waiting for it.
at::Tensor upload(std::span<const int32_t> values, c10::Device device);
// [n] int64 with the same bits.
at::Tensor upload(std::span<const uint64_t> values, c10::Device device);

}  // namespace rung::ops
