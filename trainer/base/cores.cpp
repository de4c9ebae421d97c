#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <thread>

namespace rung {
namespace {

namespace fs = std::filesystem;

struct Quota {
  int64_t time = 0;    // microseconds of CPU time ...
  int64_t period = 0;  // ... in so many microseconds

  std::optional<int64_t> cores() const {
    if (time <= 0 || period <= 0) return std::nullopt;
    return 1 + (time - 1) / period;
  }
};

// "150000 100000"; "max 100000" is no quota.
std::optional<int64_t> cores_of_v2(const fs::path& dir) {
  Quota quota;
  std::ifstream(dir / "cpu.max") >> quota.time >> quota.period;
  return quota.cores();
}

// A quota of -1 is none.
std::optional<int64_t> cores_of_v1(const fs::path& dir) {
  Quota quota;
  std::ifstream(dir / "cpu.cfs_quota_us") >> quota.time;
  std::ifstream(dir / "cpu.cfs_period_us") >> quota.period;
  return quota.cores();
}

struct FreeCpuSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

int64_t cores_of_affinity() {
  // The kernel refuses a mask with fewer bits than it has processors.
  for (int num_cpus = CPU_SETSIZE; num_cpus <= CPU_SETSIZE << 10; num_cpus *= 2) {
    const std::unique_ptr<cpu_set_t, FreeCpuSet> set(CPU_ALLOC(num_cpus));
    const size_t bytes = CPU_ALLOC_SIZE(num_cpus);
    if (!set) break;
    if (::sched_getaffinity(0, bytes, set.get()) == 0) return CPU_COUNT_S(bytes, set.get());
    if (errno != EINVAL) break;
  }
  return std::thread::hardware_concurrency();
}

}  // namespace

std::optional<int64_t> cgroup_cores(const KernelFolders& folders) {
  std::optional<int64_t> least;
  const auto take = [&](std::optional<int64_t> cores) {
    if (cores && (!least || *cores < *least)) least = cores;
  };
  for (const fs::path& dir : cgroup_dirs("", folders)) take(cores_of_v2(dir));
  for (const fs::path& dir : cgroup_dirs("cpu", folders)) take(cores_of_v1(dir));
  return least;
}

int64_t available_cores(const KernelFolders& folders) {
  const int64_t cores = std::max<int64_t>(1, cores_of_affinity());
  return std::min(cores, cgroup_cores(folders).value_or(cores));
}

}  // namespace rung
