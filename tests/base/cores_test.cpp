#include "base/cores.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "tests/support/kernel_folders.h"

namespace rung {
namespace {

using testing::FakeKernel;

TEST(Cores, AQuotaIsRoundedUp) {
  const FakeKernel kernel("0::/job\n");
  kernel.write("cgroup/job/cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroup_cores(kernel.folders()), 3);
  kernel.write("cgroup/job/cpu.max", "200000 100000\n");
  EXPECT_EQ(cgroup_cores(kernel.folders()), 2);
  kernel.write("cgroup/job/cpu.max", "1000 100000\n");
  EXPECT_EQ(cgroup_cores(kernel.folders()), 1);
}

TEST(Cores, TheSmallestQuotaOfTheGroupsAroundHolds) {
  const FakeKernel kernel("0::/queue/job\n");
  kernel.write("cgroup/queue/cpu.max", "400000 100000\n");
  kernel.write("cgroup/queue/job/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cores(kernel.folders()), 4);
  kernel.write("cgroup/cpu.max", "300000 100000\n");
  EXPECT_EQ(cgroup_cores(kernel.folders()), 3);
}

TEST(Cores, AQuotaOfV1CountsToo) {
  const FakeKernel kernel("4:cpu,cpuacct:/job\n");
  kernel.write("cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "450000\n");
  kernel.write("cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cores(kernel.folders()), 5);
  kernel.write("cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cgroup_cores(kernel.folders()), std::nullopt);
}

TEST(Cores, NoQuotaIsNone) {
  const FakeKernel kernel("0::/job\n");
  EXPECT_EQ(cgroup_cores(kernel.folders()), std::nullopt);
  for (const char* text : {"max 100000\n", "", "200000", "200000 0\n", "-5 100000\n", "x y\n"}) {
    kernel.write("cgroup/job/cpu.max", text);
    EXPECT_EQ(cgroup_cores(kernel.folders()), std::nullopt) << text;
  }
}

// The calling thread's mask, restored at the end.
class Affinity : public ::testing::Test {
 protected:
  Affinity() { EXPECT_EQ(::sched_getaffinity(0, sizeof(before_), &before_), 0); }
  ~Affinity() override { ::sched_setaffinity(0, sizeof(before_), &before_); }

  void keep_one() const {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &before_)) continue;
      CPU_SET(cpu, &one);
      break;
    }
    ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  }

  cpu_set_t before_ = {};
  FakeKernel unlimited_{"0::/\n"};
};

TEST_F(Affinity, IsWhatThereIsWithoutAQuota) {
  EXPECT_EQ(available_cores(unlimited_.folders()), CPU_COUNT(&before_));
}

TEST_F(Affinity, AProcessBoundToOneCoreHasOne) {
  keep_one();
  EXPECT_EQ(available_cores(unlimited_.folders()), 1);
}

TEST_F(Affinity, AQuotaBelowItHolds) {
  unlimited_.write("cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(available_cores(unlimited_.folders()), 1);
  unlimited_.write("cgroup/cpu.max", "100000000 100000\n");  // 1000 cores
  EXPECT_EQ(available_cores(unlimited_.folders()), std::min(1000, CPU_COUNT(&before_)));
}

}  // namespace
}  // namespace rung
