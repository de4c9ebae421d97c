#include "memory/transfers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "memory/device.h"
#include "tests/support/counting.h"

namespace rung::memory {
namespace {

TEST(CpuTransfers, HostMemoryIsOutsideTheCountAndTheLimit) {
  Device& device = cpu_device();
  const int64_t live = device.counter().usage().live;
  device.set_limit(live + 1024);
  const at::Tensor pinned = transfers_of(at::kCPU).pinned({1 << 20}, at::kFloat);
  const at::Tensor pageable = transfers_of(at::kCPU).pageable({1 << 20}, at::kFloat);
  device.set_limit(0);
  EXPECT_EQ(device.counter().usage().live, live);
  EXPECT_EQ(pinned.numel(), 1 << 20);
  EXPECT_EQ(pageable.numel(), 1 << 20);
}

TEST(CpuTransfers, ACopyBesideIsThereOnceItIsWaitedFor) {
  Transfers& transfers = transfers_of(at::kCPU);
  const at::Tensor values = at::arange(1000, at::kFloat);
  const at::Tensor host = transfers.pinned({1000}, at::kFloat);
  const at::Tensor back = at::zeros({1000});
  transfers.wait_for(transfers.copy_beside(host, values));
  transfers.wait_for(transfers.copy_beside(back, host));
  EXPECT_TRUE(back.equal(values));
}

TEST(CpuTransfers, CountsHostMemoryByItself) {
  Transfers& transfers = transfers_of(at::kCPU);
  const int64_t before = transfers.host_counter().usage().live;
  {
    const at::Tensor pinned = transfers.pinned({1000}, at::kFloat);
    const at::Tensor pageable = transfers.pageable({1000}, at::kFloat);
    EXPECT_EQ(transfers.host_counter().usage().live - before, 4096 + 4000);
  }
  EXPECT_EQ(transfers.host_counter().usage().live, before);
}

TEST(CpuTransfers, EmptyPinnedTensorsAreFine) {
  EXPECT_EQ(transfers_of(at::kCPU).pinned({0, 7}, at::kBFloat16).numel(), 0);
}

TEST(MetaTransfers, TakeNothing) {
  Transfers& transfers = transfers_of(at::kMeta);
  const at::Tensor host = transfers.pinned({int64_t{1} << 40}, at::kFloat);
  EXPECT_EQ(host.numel(), int64_t{1} << 40);
  transfers.wait_for(transfers.copy_beside(host, host));
}

TEST(Transfers, AreNotThereForADeviceThatIsNotOpen) {
  EXPECT_THROW(transfers_of(c10::Device(c10::kCUDA, 0)), c10::Error);
}

}  // namespace
}  // namespace rung::memory
