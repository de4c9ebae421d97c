// A snapshot as one JSON object: bytes, seconds, percent, degrees Celsius, watts and MHz; null
// where a figure is not known. docs/guide/monitor.md has the keys.
#pragma once

#include <span>

#include "base/json.h"
#include "base/nvml.h"
#include "monitor/snapshot.h"

namespace rung::monitor {

Json run_json(const Snapshot& snapshot);
// Without a run: `gpus`, and at the top the figures of the only one.
Json gpus_json(std::span<const GpuFigures> gpus);

}  // namespace rung::monitor
