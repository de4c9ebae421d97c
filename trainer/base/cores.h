// How many processor cores this process may use.
#pragma once

#include <cstdint>
#include <optional>

#include "base/cgroup.h"

namespace rung {

// The CPU time that the process's control groups grant it, in cores, rounded up: quota / period of
// cpu.max (v2) or of cpu.cfs_quota_us and cpu.cfs_period_us (v1), the least of the groups around
// it. Nothing where none has a quota.
std::optional<int64_t> cgroup_cores(const KernelFolders& folders = {});

// The cores that the process may run on (its affinity mask), or cgroup_cores where that is less; at
// least 1. std::thread::hardware_concurrency knows of neither a quota nor, everywhere, of the mask.
int64_t available_cores(const KernelFolders& folders = {});

}  // namespace rung
