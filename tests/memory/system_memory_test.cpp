#include "memory/system_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "tests/support/kernel_folders.h"

namespace rung::memory {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(SystemMemory, AvailableLiesBetweenNothingAndTheMachine) {
  const int64_t machine = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  EXPECT_GT(available_memory(), 16 * kMiB);
  EXPECT_LE(available_memory(), machine);
}

TEST(SystemMemory, AvailableIsTheLeastThatAGroupAroundHasLeft) {
  const rung::testing::FakeKernel kernel("0::/queue/job\n");
  kernel.write("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:  8000 kB\n");
  EXPECT_EQ(available_memory(kernel.folders()), 8000 * 1024);
  kernel.write("cgroup/queue/job/memory.max", "max\n");
  kernel.write("cgroup/queue/job/memory.current", "1000\n");
  EXPECT_EQ(available_memory(kernel.folders()), 8000 * 1024);
  kernel.write("cgroup/queue/memory.max", "5000\n");
  kernel.write("cgroup/queue/memory.current", "4000\n");
  kernel.write("cgroup/queue/memory.stat", "anon 1\ninactive_file 700\n");
  EXPECT_EQ(available_memory(kernel.folders()), 1700);
}

TEST(SystemMemory, AvailableKnowsGroupsOfVersion1) {
  const rung::testing::FakeKernel kernel("7:memory:/job\n");
  kernel.write("proc/meminfo", "MemAvailable:  8000 kB\n");
  kernel.write("cgroup/memory/job/memory.limit_in_bytes", "5000\n");
  kernel.write("cgroup/memory/job/memory.usage_in_bytes", "6000\n");
  kernel.write("cgroup/memory/job/memory.stat", "total_inactive_file 500\n");
  EXPECT_EQ(available_memory(kernel.folders()), 0);
}

TEST(SystemMemory, ProcessPeakGrowsWithWhatIsTouchedAndStays) {
  const int64_t before = process_peak();
  EXPECT_GT(before, kMiB);
  {
    std::vector<char> block(static_cast<size_t>(256 * kMiB), 1);
    // Read back, so that the block cannot be optimised away.
    EXPECT_EQ(block[static_cast<size_t>(before % (256 * kMiB))], 1);
  }
  const int64_t after = process_peak();
  EXPECT_GE(after, before + 100 * kMiB);
  EXPECT_GE(process_peak(), after);
}

}  // namespace
}  // namespace rung::memory
