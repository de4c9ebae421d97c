#include "memory/system_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace rung::memory {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(SystemMemory, AvailableLiesBetweenNothingAndTheMachine) {
  const int64_t machine = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  EXPECT_GT(available_memory(), 16 * kMiB);
  EXPECT_LE(available_memory(), machine);
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
