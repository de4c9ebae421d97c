#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <system_error>

namespace rung {
namespace {

namespace fs = std::filesystem;

// A line of /proc/self/cgroup: "4:cpu,cpuacct:/user.slice", of v2 "0::/user.slice".
struct Membership {
  std::string controllers;
  std::string path;

  bool has(const std::string& controller) const {
    if (controller.empty()) return controllers.empty();
    std::istringstream list(controllers);
    for (std::string name; std::getline(list, name, ',');) {
      if (name == controller) return true;
    }
    return false;
  }
};

std::vector<Membership> memberships(const fs::path& proc) {
  std::vector<Membership> found;
  std::ifstream file(proc / "self" / "cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    found.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return found;
}

// A hierarchy of v1 is mounted under the names of its controllers, and mostly linked under each.
fs::path mount_of(const std::string& controller, const Membership& member, const fs::path& cgroup) {
  std::error_code error;
  const fs::path own = cgroup / controller;
  return fs::is_directory(own, error) ? own : cgroup / member.controllers;
}

}  // namespace

std::vector<fs::path> cgroup_dirs(const std::string& controller, const KernelFolders& folders) {
  const std::vector<Membership> all = memberships(folders.proc);
  const auto member = std::ranges::find_if(
      all, [&](const Membership& membership) { return membership.has(controller); });
  if (member == all.end()) return {};
  fs::path dir = mount_of(controller, *member, folders.cgroup);
  std::vector<fs::path> dirs = {dir};
  for (const fs::path& part : fs::path(member->path).relative_path()) {
    if (part == "..") break;  // a group outside of this process's view
    dirs.push_back(dir /= part);
  }
  return dirs;
}

}  // namespace rung
