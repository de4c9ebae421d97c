// Stretches of a run whose figures may be compared with each other.
//
// A process that resumes starts from another level of memory, and a change of the rung in force
// moves the level as well: what rises or stands out there is neither creep nor spike.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "monitor/run_history.h"

namespace rung::monitor {

// Steps in a row of one process, on one rung.
struct Segment {
  std::span<const Step> steps;   // of the history
  const Start* start = nullptr;  // of its process; none in records of other versions
};

// The start whose process took `step`; null where the record has none.
const Start* start_of_step(const RunHistory& history, int64_t step);

// The steps by process, and by process and rung; none of them is empty.
std::vector<Segment> processes_of(const RunHistory& history);
std::vector<Segment> segments_of(const RunHistory& history);

// Bytes that a process may take for tensors; 0 where the record does not say it. On a GPU the limit
// is one of the whole process.
Bytes tensor_limit_of(const Segment& segment);

}  // namespace rung::monitor
