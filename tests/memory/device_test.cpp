#include "memory/device.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "memory/counting_allocator.h"
#include "tests/support/counting.h"

namespace rung::memory {
namespace {

TEST(CpuDevice, TheLimitBoundsTensors) {
  Device& device = cpu_device();
  device.set_limit(device.counter().usage().live + (1 << 20));
  EXPECT_THROW(at::empty({1 << 20}, at::kFloat), c10::OutOfMemoryError);
  device.set_limit(0);
  EXPECT_NO_THROW(at::empty({1 << 20}, at::kFloat));
}

TEST(CpuDevice, KeptBlocksAreReserved) {
  Device& device = cpu_device();
  device.release_cached();
  const int64_t before = device.reserved();
  at::empty({8 << 20}, at::kByte);
  EXPECT_GE(device.reserved() - before, 8 << 20);
  device.release_cached();
  EXPECT_EQ(device.reserved(), before);
}

TEST(CpuDevice, KeptBlocksAreNoOtherMemory) {
  Device& device = cpu_device();
  device.release_cached();
  const int64_t before = device.other();
  at::zeros({64 << 20}, at::kByte);
  ASSERT_GE(kept_block_bytes(), 64 << 20);
  EXPECT_LT(device.other() - before, 16 << 20);
  device.release_cached();
}

TEST(CpuDevice, KnowsItsMemory) {
  EXPECT_GT(cpu_device().free_memory(), 0);
  EXPECT_GE(cpu_device().total_memory(), cpu_device().free_memory());
}

}  // namespace
}  // namespace rung::memory
