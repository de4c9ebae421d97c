#include "monitor/segments.h"

#include <algorithm>
#include <functional>

namespace rung::monitor {
namespace {

using Cut = std::function<bool(const Step& before, const Step& after)>;

std::vector<Segment> cut(const RunHistory& history, const Cut& is_cut) {
  std::vector<Segment> segments;
  const std::span<const Step> steps = history.steps;
  for (size_t begin = 0; begin < steps.size();) {
    size_t end = begin + 1;
    while (end < steps.size() && !is_cut(steps[end - 1], steps[end])) ++end;
    segments.push_back({.steps = steps.subspan(begin, end - begin),
                        .start = start_of_step(history, steps[begin].step)});
    begin = end;
  }
  return segments;
}

}  // namespace

const Start* start_of_step(const RunHistory& history, int64_t step) {
  // A later process takes steps again that an earlier one took behind its last checkpoint.
  for (auto start = history.starts.rbegin(); start != history.starts.rend(); ++start) {
    if (start->first_step < step) return &*start;
  }
  return nullptr;
}

std::vector<Segment> processes_of(const RunHistory& history) {
  return cut(history, [&](const Step& before, const Step& after) {
    return start_of_step(history, before.step) != start_of_step(history, after.step);
  });
}

std::vector<Segment> segments_of(const RunHistory& history) {
  std::vector<int64_t> changes;  // steps done before the rung changed
  for (const OutOfMemory& event : history.out_of_memory) {
    if (!event.is_again) changes.push_back(event.step);
  }
  std::ranges::sort(changes);
  return cut(history, [&](const Step& before, const Step& after) {
    if (start_of_step(history, before.step) != start_of_step(history, after.step)) return true;
    const auto change = std::ranges::lower_bound(changes, before.step);
    return change != changes.end() && *change < after.step;
  });
}

Bytes tensor_limit_of(const Segment& segment) {
  if (segment.start == nullptr || segment.steps.empty()) return 0;
  const bool on_gpu = !segment.start->pci_bus_id.empty();
  const Bytes others = on_gpu ? segment.steps.back().memory_other : 0;
  return std::max<Bytes>(0, segment.start->memory_limit - others);
}

}  // namespace rung::monitor
