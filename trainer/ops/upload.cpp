#include "ops/upload.h"

#include <ATen/ops/empty.h>

#include <cstring>

namespace rung::ops {
namespace {

at::Tensor upload_bytes(const void* values, int64_t count, c10::ScalarType dtype,
                        c10::Device device) {
  at::Tensor result = at::empty({count}, at::TensorOptions(device).dtype(dtype));
  if (result.is_meta()) return result;
  // The allocator of pinned memory keeps the staging tensor's block until the copy has run.
  at::Tensor staging =
      device.is_cpu() ? result
                      : at::empty({count}, at::TensorOptions().dtype(dtype).pinned_memory(true));
  std::memcpy(staging.mutable_data_ptr(), values, staging.nbytes());
  if (!device.is_cpu()) result.copy_(staging, /*non_blocking=*/true);
  return result;
}

}  // namespace

at::Tensor upload(std::span<const int32_t> values, c10::Device device) {
  return upload_bytes(values.data(), std::ssize(values), c10::kInt, device);
}

at::Tensor upload(std::span<const uint64_t> values, c10::Device device) {
  return upload_bytes(values.data(), std::ssize(values), c10::kLong, device);
}

}  // namespace rung::ops
