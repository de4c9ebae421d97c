// One moment of a run, as the monitor shows it: what the record says, what the GPU says, and the
// verdict.
//
// The GPU is asked only while the run goes on, and only on the machine that it goes on on: at any
// other time or place its figures are somebody else's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/nvml.h"
#include "monitor/run_follower.h"
#include "monitor/run_history.h"
#include "monitor/verdict.h"

namespace rung::monitor {

// Bytes. Figures "of the last step" are as old as that; those of the GPU are of now.
struct MemoryPicture {
  std::optional<Bytes> total;       // of the GPU
  std::optional<Bytes> free;        // of the GPU
  std::optional<Bytes> neighbours;  // of other processes on it: now, else in the last step
  std::optional<Bytes> live;        // of the last step, at its end
  std::optional<Bytes> peak;        // of the last step
  std::optional<Bytes> reserved;    // of the last step
  std::optional<Bytes> other;       // of the last step: this process's, beside tensors
  std::optional<Bytes> limit;
  std::optional<Bytes> planned_peak;
  std::optional<Bytes> measured_peak;  // of the process that the last step is of
};

struct RunProgress {
  std::optional<int64_t> step;
  std::optional<int64_t> total_steps;
  std::optional<double> epoch;
  std::optional<double> loss;
  std::optional<double> validation_loss;
  std::optional<int64_t> validation_step;
  std::optional<double> tokens_per_second;
  std::optional<double> seconds_left;  // none where it does not go on
};

struct Snapshot {
  RunState state = RunState::kStarting;
  double seconds_since_row = 0.0;
  std::optional<Outcome> outcome;
  std::string host;
  int64_t pid = 0;
  std::string device;
  std::string rung;  // in force
  int64_t recoveries = 0;
  RunProgress progress;
  MemoryPicture memory;
  std::optional<GpuFigures> gpu;
  std::string why_no_gpu;  // where a run is at work on a GPU of which figures are not known
  Verdict verdict;
};

// What of `history` does not need the GPU; `verdict` is that of the same history.
Snapshot snapshot_of(const RunHistory& history, RunState state, Verdict verdict);

// Adds the figures of the GPU that the run is on, where they can be had.
void add_gpu(const RunHistory& history, const Nvml& nvml, Snapshot& snapshot);

}  // namespace rung::monitor
