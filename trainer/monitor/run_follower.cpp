#include "monitor/run_follower.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <string>
#include <system_error>

#include "base/disk.h"
#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/publish.h"

namespace rung::monitor {
namespace {

namespace fs = std::filesystem;

// What is behind `offset`, up to the last line end.
std::string complete_lines(const FileDescriptor& file, int64_t offset, const fs::path& path) {
  std::string text;
  std::array<char, size_t{64} << 10> buffer;
  while (true) {
    const ssize_t count = ::pread(file.get(), buffer.data(), buffer.size(),
                                  offset + static_cast<int64_t>(text.size()));
    if (count < 0) throw_disk_error("the record cannot be read", path);
    if (count == 0) break;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  text.resize(text.rfind('\n') + 1);  // npos + 1: nothing
  return text;
}

}  // namespace

bool RunFollower::poll() {
  // First the lock: what a process wrote before it gave that up is seen below.
  const bool is_held = is_locked(output_dir_);
  const RunState before = state_;
  bool has_changed = read_metrics();
  has_changed |= read_outcome(is_held);
  if (is_held) {
    state_ = !file_.is_open() ? RunState::kStarting : RunState::kRunning;
  } else if (history_.outcome) {
    state_ = RunState::kEnded;
  } else if (file_.is_open()) {
    state_ = RunState::kKilled;
  } else {
    (void)read_run_history(output_dir_);  // throws, with the reason
  }
  return has_changed || state_ != before;
}

// Opens the record where the one that was read is no longer it, and forgets that; whether so. A
// resume puts a shorter file in the place of the old one.
bool RunFollower::open_metrics(const fs::path& path) {
  struct stat named = {};
  const bool is_there = ::stat(path.c_str(), &named) == 0 && S_ISREG(named.st_mode);
  struct stat opened = {};
  if (is_there && file_.is_open() && ::fstat(file_.get(), &opened) == 0 &&
      named.st_dev == opened.st_dev && named.st_ino == opened.st_ino && named.st_size >= offset_) {
    return false;
  }
  const bool was_open = file_.is_open();
  file_ = FileDescriptor(is_there ? ::open(path.c_str(), O_RDONLY | O_CLOEXEC) : -1);
  history_ = {};
  offset_ = 0;
  lines_ = 0;
  return was_open || file_.is_open();
}

bool RunFollower::read_metrics() {
  const fs::path path = output_dir_ / "metrics.jsonl";
  const bool is_another = open_metrics(path);
  if (!file_.is_open()) return is_another;
  const std::string text = complete_lines(file_, offset_, path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    add_metrics_line(std::string_view(text).substr(begin, end - begin), path, ++lines_, history_);
    begin = end + 1;
  }
  offset_ += static_cast<int64_t>(text.size());
  return is_another || !text.empty();
}

bool RunFollower::read_outcome(bool is_held) {
  const fs::path path = output_dir_ / "run.json";
  const bool was_there = history_.outcome.has_value();
  std::error_code error;
  // While a process holds the folder, what is there is an earlier process's, or about to be
  // complete.
  if (is_held || !fs::is_regular_file(path, error)) {
    history_.outcome = std::nullopt;
    return was_there;
  }
  if (was_there) return false;
  history_.outcome = monitor::read_outcome(path);
  return true;
}

}  // namespace rung::monitor
