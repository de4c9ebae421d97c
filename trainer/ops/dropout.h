// Keys of a batch's rows for adapter dropout: the mask depends on what a token is, not on where a
// batch put it (kernels/lora_dropout.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace rung::ops {

struct DropoutRows {
  uint64_t seed = 0;
  int64_t step = 0;                     // optimizer step
  std::span<const int64_t> documents;   // [documents] index in the data set
  std::span<const int32_t> cu_seqlens;  // [documents + 1] token offsets
  std::span<const int32_t> positions;   // [tokens] in their document
};

// [tokens] int64 on `device`.
at::Tensor dropout_row_keys(const DropoutRows& rows, c10::Device device);

}  // namespace rung::ops
