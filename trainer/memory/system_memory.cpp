#include "memory/system_memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace rung::memory {
namespace {

constexpr int64_t kKiB = 1024;

// The number behind "<key>:" in a /proc file of "Key:  123 kB" lines, in bytes.
std::optional<int64_t> proc_field(const std::filesystem::path& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key + ":")) continue;
    return std::stoll(line.substr(key.size() + 1)) * kKiB;
  }
  return std::nullopt;
}

// The first number of a file; nothing where it is absent or says "max".
std::optional<int64_t> number_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

// Bytes of file cache in a cgroup that the kernel gives up when memory is asked for; they count as
// used.
int64_t reclaimable(const std::filesystem::path& dir, const std::string& key) {
  std::ifstream file(dir / "memory.stat");
  std::string name;
  int64_t value = 0;
  while (file >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

// The files of one cgroup version.
struct CgroupFiles {
  const char* limit;
  const char* used;
  const char* reclaimable;  // key of memory.stat
};

// limit - used + reclaimable, the least of the groups `dirs`.
int64_t cgroup_left(const std::vector<std::filesystem::path>& dirs, const CgroupFiles& files) {
  int64_t left = std::numeric_limits<int64_t>::max();
  for (const std::filesystem::path& dir : dirs) {
    const auto limit = number_in(dir / files.limit);
    const auto used = number_in(dir / files.used);
    if (!limit || !used) continue;
    const int64_t free = *limit - *used + reclaimable(dir, files.reclaimable);
    left = std::min(left, std::max<int64_t>(0, free));
  }
  return left;
}

}  // namespace

int64_t machine_available_memory(const KernelFolders& folders) {
  return proc_field(folders.proc / "meminfo", "MemAvailable")
      .value_or(std::numeric_limits<int64_t>::max());
}

int64_t available_memory(const KernelFolders& folders) {
  const int64_t machine = machine_available_memory(folders);
  const int64_t v2 =
      cgroup_left(cgroup_dirs("", folders), {"memory.max", "memory.current", "inactive_file"});
  const int64_t v1 =
      cgroup_left(cgroup_dirs("memory", folders),
                  {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"});
  return std::min({machine, v2, v1});
}

int64_t process_memory() { return proc_field("/proc/self/status", "VmRSS").value_or(0); }

int64_t process_peak() { return proc_field("/proc/self/status", "VmHWM").value_or(0); }

}  // namespace rung::memory
