// What the kernel tells about a process, as files of a test.
#pragma once

#include <string>

#include "base/cgroup.h"
#include "tests/support/temp_dir.h"

namespace rung::testing {

// `proc` and `cgroup` in a folder that exists while the object does.
class FakeKernel {
 public:
  // `membership`: the text of /proc/self/cgroup.
  explicit FakeKernel(const std::string& membership) {
    dir_.write("proc/self/cgroup", membership);
    std::filesystem::create_directory(dir_ / "cgroup");
  }

  void write(const std::string& name, const std::string& text) const { dir_.write(name, text); }
  KernelFolders folders() const { return {.proc = dir_ / "proc", .cgroup = dir_ / "cgroup"}; }

 private:
  TempDir dir_;
};

}  // namespace rung::testing
