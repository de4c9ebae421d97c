#include "monitor/run_follower.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <system_error>

#include "base/disk.h"
#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/publish.h"
#include "base/this_machine.h"
#include "monitor/statistics.h"

namespace rung::monitor {
namespace {

namespace fs = std::filesystem;

// Whoever holds the lock of a folder, as base/dir_lock.cpp writes it: "pid 4711 on node7".
std::string lock_text(const fs::path& dir) {
  const FileDescriptor file(
      ::open((dir / ".rung.lock").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  std::array<char, 512> buffer;
  const ssize_t count = file.is_open() ? ::read(file.get(), buffer.data(), buffer.size()) : 0;
  const std::string text(buffer.data(), static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return text.substr(0, text.find('\n'));
}

// Whether another process than that of the last start row holds the folder: a resume that loads.
// False where the lock or the record do not say whose they are.
bool is_held_by_another(const fs::path& dir, const RunHistory& history) {
  if (history.starts.empty() || history.starts.back().pid <= 0) return false;
  const std::string text = lock_text(dir);
  if (!text.starts_with("pid ") || text.find(" on ") == std::string::npos) return false;
  const Start& start = history.starts.back();
  return text != "pid " + std::to_string(start.pid) + " on " + start.host;
}

// Of the last steps; 0 where there is none.
double seconds_a_step(const RunHistory& history) {
  constexpr size_t kSteps = 20;
  std::vector<double> seconds;
  for (size_t i = 0; i < std::min(kSteps, history.steps.size()); ++i) {
    seconds.push_back(history.steps[history.steps.size() - 1 - i].seconds);
  }
  return median(std::move(seconds));
}

// Whether the run may go on where its lock is not seen: on a file system that does not pass locks
// from machine to machine.
bool may_go_on_elsewhere(const RunHistory& history) {
  constexpr double kLeastSeconds = 600.0;
  constexpr double kSteps = 20.0;
  if (history.starts.empty()) return false;
  const std::string& host = history.starts.back().host;
  if (host.empty() || host == host_name()) return false;
  const double since = seconds_since_1970() - last_row_time(history);
  return since < std::max(kLeastSeconds, kSteps * seconds_a_step(history));
}

}  // namespace

std::string_view name_of(RunState state) {
  switch (state) {
    case RunState::kStarting:
      return "starting";
    case RunState::kRunning:
      return "running";
    case RunState::kUnseen:
      return "unseen";
    case RunState::kEnded:
      return "ended";
    case RunState::kKilled:
      break;
  }
  return "killed";
}

bool RunFollower::poll() {
  // First the lock: what a process wrote before it gave that up is seen below.
  const bool is_held = is_locked(output_dir_);
  const RunState before = state_;
  bool has_changed = read_metrics();
  has_changed |= read_outcome(is_held);
  state_ = state_of(is_held);
  return has_changed || state_ != before;
}

RunState RunFollower::state_of(bool is_held) const {
  if (is_held) {
    const bool is_recorded = file_.is_open() && !is_held_by_another(output_dir_, history());
    return is_recorded ? RunState::kRunning : RunState::kStarting;
  }
  if (history().outcome) return RunState::kEnded;
  if (!file_.is_open()) (void)read_run_history(output_dir_);  // throws, with the reason
  return may_go_on_elsewhere(history()) ? RunState::kUnseen : RunState::kKilled;
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
  reader_ = MetricsReader(path);
  offset_ = 0;
  return was_open || file_.is_open();
}

bool RunFollower::read_metrics() {
  const fs::path path = output_dir_ / "metrics.jsonl";
  const bool is_another = open_metrics(path);
  if (!file_.is_open()) return is_another;
  const int64_t lines_before = reader_.num_lines();
  std::array<char, size_t{64} << 10> chunk;
  while (true) {
    const ssize_t count = ::pread(file_.get(), chunk.data(), chunk.size(), offset_);
    if (count < 0) throw_disk_error("the record cannot be read", path);
    if (count == 0) break;
    reader_.add({chunk.data(), static_cast<size_t>(count)});
    offset_ += count;
  }
  offset_ -= static_cast<int64_t>(reader_.drop_torn_line());
  return is_another || reader_.num_lines() != lines_before;
}

bool RunFollower::read_outcome(bool is_held) {
  const fs::path path = output_dir_ / "run.json";
  const bool was_there = history().outcome.has_value();
  std::error_code error;
  // While a process holds the folder, what is there is an earlier process's, or about to be
  // complete.
  if (is_held || !fs::is_regular_file(path, error)) {
    reader_.set_outcome(std::nullopt);
    return was_there;
  }
  if (was_there) return false;
  reader_.set_outcome(monitor::read_outcome(path));
  return true;
}

}  // namespace rung::monitor
