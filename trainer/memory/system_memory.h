// What the machine has, and what this process has taken of it.
#pragma once

#include <cstdint>

#include "base/cgroup.h"

namespace rung::memory {

// Bytes that can still be taken: MemAvailable of /proc/meminfo, or what the process's cgroup (v2 or
// v1) has left where that is less.
int64_t available_memory(const KernelFolders& folders = {});

// MemAvailable of /proc/meminfo alone.
int64_t machine_available_memory(const KernelFolders& folders = {});

// Resident size of this process now, in bytes (VmRSS).
int64_t process_memory();

// Largest resident size of this process so far, in bytes (VmHWM).
int64_t process_peak();

}  // namespace rung::memory
