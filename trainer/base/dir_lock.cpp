// The lock of an output folder: flock() on a file in it, which holds the writer's pid and host.
//
// Its holder removes the file in the end. A process that opened it before would then lock a file
// without a name while a third one makes and locks a new one; so whoever has the lock looks whether
// the name still means the locked file, and begins again where it does not.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/disk.h"
#include "base/error.h"
#include "base/files.h"
#include "base/publish.h"
#include "base/this_machine.h"

namespace rung {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = ".rung.lock";

// `dir` and the folders above it that are missing, the inner ones first.
std::vector<fs::path> missing_folders(const fs::path& dir) {
  std::vector<fs::path> missing;
  std::error_code error;
  for (fs::path folder = dir; !folder.empty() && !fs::exists(folder, error);
       folder = folder.parent_path()) {
    missing.push_back(folder);
  }
  return missing;
}

[[noreturn]] void throw_held(const fs::path& lock_file) {
  std::error_code error;
  std::string holder = fs::exists(lock_file, error) ? read_text_file(lock_file, 4096) : "";
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  throw Error(ExitCode::kConfig, {.what = "another process writes to this folder",
                                  .got = holder.empty() ? "an unknown process" : holder,
                                  .hint = "wait for it, stop it, or choose another output_dir",
                                  .where = lock_file.parent_path().string()});
}

bool is_still_named(const FileDescriptor& file, const fs::path& path) {
  struct stat opened = {};
  struct stat named = {};
  return ::fstat(file.get(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Whether the file is locked now. is_locked() of a watching process holds a lock of its own for the
// moment of its question, so that one refusal is not an answer yet.
bool take_lock(const FileDescriptor& file, const fs::path& path) {
  constexpr int kAttempts = 10;
  for (int attempt = 1;; ++attempt) {
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK) throw_disk_error("the folder cannot be locked", path);
    if (attempt == kAttempts) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// The lock file, made where it is missing, locked.
FileDescriptor lock_file_of(const fs::path& path) {
  // Others that end at the same time take file and folder away: a few times, not for ever.
  constexpr int kMostAttempts = 1000;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    make_parent(path);
    FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!file.is_open() && errno == ENOENT) continue;  // its folder went away meanwhile
    if (!file.is_open()) throw_disk_error("the folder cannot be locked", path);
    if (!take_lock(file, path)) throw_held(path);
    if (is_still_named(file, path)) return file;
  }
  throw Error(ExitCode::kConfig, {.what = "the folder cannot be locked",
                                  .got = "a lock file that goes away each time",
                                  .hint = "remove it, if it is a link",
                                  .where = path.string()});
}

}  // namespace

DirLock::DirLock(const fs::path& dir)
    : path_(dir / kLockName), made_folders_(missing_folders(dir)), file_(lock_file_of(path_)) {
  try {
    // A shorter text must not leave the end of an older one.
    if (::ftruncate(file_.get(), 0) != 0) throw_disk_error("the folder cannot be locked", path_);
    write_all(file_, fmt::format("pid {} on {}\n", ::getpid(), host_name()), path_);
  } catch (...) {
    remove_traces();
    throw;
  }
}

DirLock::~DirLock() { remove_traces(); }

void DirLock::remove_traces() const {
  ::unlink(path_.c_str());
  for (const fs::path& folder : made_folders_) ::rmdir(folder.c_str());  // only if it is empty
}

bool is_locked(const fs::path& dir) {
  // Whatever else has the name, a link to a terminal, say, is not opened, or only looked at.
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
  const FileDescriptor file(::open((dir / kLockName).c_str(), kFlags));
  struct stat opened = {};
  if (!file.is_open() || ::fstat(file.get(), &opened) != 0 || !S_ISREG(opened.st_mode)) {
    return false;
  }
  // A shared lock, gone again with the descriptor: several may ask at a time.
  return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace rung
