#include "ops/dropout.h"

#include <vector>

#include "kernels/lora_dropout.h"
#include "ops/upload.h"

namespace rung::ops {

at::Tensor dropout_row_keys(const DropoutRows& rows, c10::Device device) {
  std::vector<uint64_t> keys(rows.positions.size());
  for (size_t document = 0; document < rows.documents.size(); ++document) {
    for (int32_t i = rows.cu_seqlens[document]; i < rows.cu_seqlens[document + 1]; ++i) {
      const auto token = static_cast<size_t>(i);
      keys[token] = kernels::dropout_row_key(rows.seed, rows.step, rows.documents[document],
                                             rows.positions[token]);
    }
  }
  return upload(std::span<const uint64_t>(keys), device);
}

}  // namespace rung::ops
