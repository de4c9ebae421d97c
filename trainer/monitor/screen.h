// A snapshot as lines of text, for a terminal or a log.
//
// Everything that comes from files or drivers has its control characters escaped, and no line is
// wider than asked for, so that a screen of them can be drawn again in place.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/nvml.h"
#include "monitor/snapshot.h"

namespace rung::monitor {

std::vector<std::string> run_lines(const Snapshot& snapshot, int width);
// All GPUs of a machine, with who is on them.
std::vector<std::string> gpu_lines(std::span<const GpuFigures> gpus, int width);

// "running", "ended", ...
std::string_view name_of(RunState state);

}  // namespace rung::monitor
