// A snapshot as lines of text, for a terminal or a log.
//
// Everything that comes from files or drivers has its control characters escaped, and no line is
// wider than asked for, so that a screen of them can be drawn again in place.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/nvml.h"
#include "monitor/snapshot.h"

namespace rung::monitor {

// Of a screen of `height` lines what stands above the verdict takes no more than half; 0: no limit.
std::vector<std::string> run_lines(const Snapshot& snapshot, int width, int height = 0);
// All GPUs of a machine, with who is on them.
std::vector<std::string> gpu_lines(std::span<const GpuFigures> gpus, int width);

}  // namespace rung::monitor
