// run.json: how a run ended, what it used, and with what it was made. There is none while it runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "training/run_inputs.h"

namespace rung::training {

// A change of settings after memory ran out.
struct RungChange {
  int64_t step = 0;
  std::string from;
  std::string to;
  std::string reason;
};

struct RunRecord {
  ExitCode exit_code = ExitCode::kOk;
  std::string exit_reason;  // one line
  int64_t steps = 0;
  int64_t skipped_steps = 0;
  int64_t oom_recoveries = 0;  // of this process
  std::vector<RungChange> rung_changes;
  int64_t tokens = 0;
  double seconds = 0.0;      // training time, earlier processes of the run included
  int64_t memory_limit = 0;  // bytes, as everything below
  int64_t planned_peak = 0;  // of all phases
  std::map<std::string, int64_t> planned_by_phase;
  int64_t measured_peak = 0;  // of tensors
  std::map<std::string, int64_t> peak_by_phase;
  InputHashes inputs;                          // what was read
  std::map<std::string, std::string> outputs;  // SHA-256 of what was written, by file name
  std::string config;                          // resolved YAML
  // The folder still holds a finished or failed run that this one is to replace: a failure before
  // that leaves its record alone. Not written.
  bool is_earlier_run_there = false;
};

// Publishes output_dir/run.json. The process's own peak and the versions are filled in here.
void write_run_record(const std::filesystem::path& output_dir, const RunRecord& record);

// The inputs of the run in output_dir, if it ended with exit code 0 and its adapter is there as it
// was written; nothing otherwise.
std::optional<InputHashes> inputs_of_finished_run(const std::filesystem::path& output_dir);

}  // namespace rung::training
