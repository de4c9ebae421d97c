// The record of a run that is still being written: only what is new is read at each look.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/file_descriptor.h"
#include "monitor/metrics_reader.h"
#include "monitor/run_history.h"

namespace rung::monitor {

enum class RunState {
  kStarting,  // a process holds the folder, and has recorded nothing yet
  kRunning,
  kUnseen,  // on another machine, whose lock is not seen from here; the last row is recent
  kEnded,   // run.json says how
  kKilled   // no process holds the folder, and nothing says how the run ended
};
std::string_view name_of(RunState state);  // "starting", "running", ...

class RunFollower {
 public:
  explicit RunFollower(std::filesystem::path output_dir)
      : output_dir_(std::move(output_dir)), reader_(output_dir_ / "metrics.jsonl") {}

  // Reads on; whether anything has changed. Throws Error: kConfig where the folder has no record
  // and no process holds it, kDamaged where a complete line is no JSON object.
  bool poll();

  RunState state() const { return state_; }
  const RunHistory& history() const { return reader_.history(); }

 private:
  RunState state_of(bool is_held) const;
  bool open_metrics(const std::filesystem::path& path);
  bool read_metrics();
  bool read_outcome(bool is_held);

  std::filesystem::path output_dir_;
  RunState state_ = RunState::kStarting;
  MetricsReader reader_;
  FileDescriptor file_{-1};  // kept open: no other file can have its number meanwhile
  int64_t offset_ = 0;       // bytes read, complete lines only
};

}  // namespace rung::monitor
