// Leaves run.json behind however a run ends.
#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>

#include "base/error.h"
#include "training/phase_peaks.h"
#include "training/run_record.h"

namespace rung::training {

// Where a run writes, and what about it.
struct Recording {
  const std::filesystem::path& output_dir;
  RunRecord& record;
  PhasePeaks& peaks;
  std::ostream& log;
};

// Runs `body`, adds its outcome and the peaks to the record and writes that; what `body` throws
// goes on.
ExitCode recorded(const Recording& to, const std::function<ExitCode()>& body);

}  // namespace rung::training
