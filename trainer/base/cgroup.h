// The control groups of this process: where a batch queue or a container writes its limits.
//
// Both versions: one hierarchy under /sys/fs/cgroup (v2), or one for each controller in a folder of
// its own (v1). Inside a container the path in /proc/self/cgroup may be the host's, of which only
// the root is mounted; a folder that is not there then simply sets no limit.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace rung {

// Where the kernel tells about processes; tests have folders of their own.
struct KernelFolders {
  std::filesystem::path proc = "/proc";
  std::filesystem::path cgroup = "/sys/fs/cgroup";
};

// The folder of this process's group and of every group around it, the outermost first: a limit of
// any of them holds. `controller` is one of v1 ("cpu", "memory") or "" for v2. Empty where there is
// no such hierarchy.
std::vector<std::filesystem::path> cgroup_dirs(const std::string& controller,
                                               const KernelFolders& folders);

}  // namespace rung
