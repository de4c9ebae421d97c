#include "memory/system_memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace rung::memory {
namespace {

constexpr int64_t kKiB = 1024;

// The number behind "<key>:" in a /proc file of "Key:  123 kB" lines, in bytes.
std::optional<int64_t> proc_field(const std::string& path, const std::string& key) {
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

// The folder of this process's cgroup under `root`, for the line of /proc/self/cgroup that starts
// with `prefix` (up to the path) or names `controller`.
std::optional<std::filesystem::path> cgroup_dir(const std::string& controller,
                                                const std::filesystem::path& root) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    if (line.substr(first + 1, second - first - 1) != controller) continue;
    return root / line.substr(second + 2);
  }
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

// limit - used + reclaimable of the cgroup and of every one above it; the least.
int64_t cgroup_left(std::filesystem::path dir, const std::filesystem::path& root,
                    const CgroupFiles& files) {
  int64_t left = std::numeric_limits<int64_t>::max();
  for (;;) {
    const auto limit = number_in(dir / files.limit);
    const auto used = number_in(dir / files.used);
    if (limit && used) {
      const int64_t free = *limit - *used + reclaimable(dir, files.reclaimable);
      left = std::min(left, std::max<int64_t>(0, free));
    }
    if (dir == root || !dir.has_relative_path() || dir == dir.parent_path()) return left;
    dir = dir.parent_path();
  }
}

}  // namespace

int64_t available_memory() {
  int64_t available =
      proc_field("/proc/meminfo", "MemAvailable").value_or(std::numeric_limits<int64_t>::max());
  const std::filesystem::path v2_root = "/sys/fs/cgroup";
  if (const auto dir = cgroup_dir("", v2_root)) {
    available = std::min(
        available, cgroup_left(*dir, v2_root, {"memory.max", "memory.current", "inactive_file"}));
  }
  const std::filesystem::path v1_root = "/sys/fs/cgroup/memory";
  if (const auto dir = cgroup_dir("memory", v1_root)) {
    available = std::min(available, cgroup_left(*dir, v1_root,
                                                {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                                 "total_inactive_file"}));
  }
  return available;
}

int64_t process_peak() { return proc_field("/proc/self/status", "VmHWM").value_or(0); }

}  // namespace rung::memory
