#include "memory/device.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "memory/counting_allocator.h"
#include "tests/support/counting.h"

namespace rung::memory {
namespace {

TEST(CpuDevice, PinnedMemoryIsOutsideTheCountAndTheLimit) {
  Device& device = cpu_device();
  const int64_t live = device.counter().usage().live;
  device.set_limit(live + 1024);
  const at::Tensor host = device.pinned({1 << 20}, at::kFloat);
  device.set_limit(0);
  EXPECT_EQ(device.counter().usage().live, live);
  EXPECT_EQ(host.numel(), 1 << 20);
}

TEST(CpuDevice, ACopyBesideIsThereOnceItIsWaitedFor) {
  Device& device = cpu_device();
  const at::Tensor values = at::arange(1000, at::kFloat);
  const at::Tensor host = device.pinned({1000}, at::kFloat);
  const at::Tensor back = at::zeros({1000});
  device.wait_for(device.copy_beside(host, values));
  device.wait_for(device.copy_beside(back, host));
  EXPECT_TRUE(back.equal(values));
}

TEST(CpuDevice, EmptyPinnedTensorsAreFine) {
  EXPECT_EQ(cpu_device().pinned({0, 7}, at::kBFloat16).numel(), 0);
}

TEST(CpuDevice, TheLimitBoundsTensors) {
  Device& device = cpu_device();
  device.set_limit(device.counter().usage().live + (1 << 20));
  EXPECT_THROW(at::empty({1 << 20}, at::kFloat), c10::OutOfMemoryError);
  device.set_limit(0);
  EXPECT_NO_THROW(at::empty({1 << 20}, at::kFloat));
}

TEST(CpuDevice, KnowsItsMemory) {
  EXPECT_GT(cpu_device().free_memory(), 0);
  EXPECT_GE(cpu_device().total_memory(), cpu_device().free_memory());
}

}  // namespace
}  // namespace rung::memory
