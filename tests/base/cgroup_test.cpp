#include "base/cgroup.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/kernel_folders.h"

namespace rung {
namespace {

using testing::FakeKernel;

// The folders, from the mount point on.
std::vector<std::string> dirs_of(const FakeKernel& kernel, const std::string& controller) {
  std::vector<std::string> names;
  for (const auto& dir : cgroup_dirs(controller, kernel.folders())) {
    names.push_back(dir.lexically_relative(kernel.folders().cgroup).string());
  }
  return names;
}

TEST(Cgroup, V2HasOneHierarchy) {
  const FakeKernel kernel("0::/jobs/17\n");
  EXPECT_EQ(dirs_of(kernel, ""), (std::vector<std::string>{".", "jobs", "jobs/17"}));
  EXPECT_EQ(dirs_of(kernel, "cpu"), std::vector<std::string>{});
}

TEST(Cgroup, V1HasOneForEachController) {
  const FakeKernel kernel("7:memory:/m\n4:cpu,cpuacct:/c/17\n1:name=systemd:/x\n");
  kernel.write("cgroup/memory/tasks", "");
  EXPECT_EQ(dirs_of(kernel, "memory"), (std::vector<std::string>{"memory", "memory/m"}));
  EXPECT_EQ(dirs_of(kernel, "cpu"),
            (std::vector<std::string>{"cpu,cpuacct", "cpu,cpuacct/c", "cpu,cpuacct/c/17"}));
  kernel.write("cgroup/cpu/tasks", "");
  EXPECT_EQ(dirs_of(kernel, "cpu").front(), "cpu");
  EXPECT_EQ(dirs_of(kernel, "cpuset"), std::vector<std::string>{});
  EXPECT_EQ(dirs_of(kernel, ""), std::vector<std::string>{});
}

TEST(Cgroup, StaysBelowItsMountPoint) {
  const FakeKernel kernel("0::/../../other\n");
  EXPECT_EQ(dirs_of(kernel, ""), std::vector<std::string>{"."});
}

TEST(Cgroup, LinesOfAnotherFormArePassedOver) {
  const FakeKernel kernel("\nno colon\n0:one\n0::/a:b\n");
  EXPECT_EQ(dirs_of(kernel, ""), (std::vector<std::string>{".", "a:b"}));
}

TEST(Cgroup, AMachineWithoutAnyHasNone) {
  EXPECT_TRUE(cgroup_dirs("", {.proc = "/no/such", .cgroup = "/no/such"}).empty());
}

}  // namespace
}  // namespace rung
