// The lock of an output folder: flock() on a file in it, which holds the writer's pid and host.
//
// The file stays: removing it would let two processes lock two files of the same name.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/disk.h"
#include "base/error.h"
#include "base/files.h"
#include "base/publish.h"

namespace rung {
namespace {

constexpr const char* kLockName = ".rung.lock";

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown host";
}

}  // namespace

DirLock::DirLock(const std::filesystem::path& dir) : file_(-1) {
  const std::filesystem::path path = dir / kLockName;
  make_parent(path);
  file_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!file_.is_open()) throw_disk_error("the folder cannot be locked", path);
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw_disk_error("the folder cannot be locked", path);
    std::string holder = read_text_file(path, 4096);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    throw Error(ExitCode::kConfig, {.what = "another process writes to this folder",
                                    .got = holder.empty() ? "an unknown process" : holder,
                                    .hint = "wait for it, stop it, or choose another output_dir",
                                    .where = dir.string()});
  }
  // A shorter text must not leave the end of an older one.
  if (::ftruncate(file_.get(), 0) != 0) throw_disk_error("the folder cannot be locked", path);
  write_all(file_, fmt::format("pid {} on {}\n", ::getpid(), host_name()), path);
}

}  // namespace rung
