// `rung train`: the whole run, from configuration to published adapter.
#pragma once

#include <iosfwd>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/run_config.h"
#include "training/resume.h"

namespace rung::training {

struct TrainRequest {
  RunConfig config;
  ResumeChoice resume;
  std::set<std::string> explicit_keys;  // those the user set (base/config.h)
  std::vector<std::string> notes;       // of loading the configuration, printed first
};

// Trains and returns kOk, or kStopped after Ctrl-C or SIGTERM with a checkpoint saved. Progress
// goes to `log`. Throws Error (kDiverged after max_skipped_steps non-finite steps in a row, and
// what the parts throw) and c10::OutOfMemoryError; run.json says how it ended in every case after
// the output folder was found to be this run's.
ExitCode train(const TrainRequest& request, std::ostream& log);

}  // namespace rung::training
