#include "monitor/segments.h"

#include <algorithm>
#include <functional>
#include <iterator>

namespace rung::monitor {
namespace {

using Cut = std::function<bool(const Step& before, const Step& after)>;

// The starts by the steps that they are of. A later process takes steps again that an earlier one
// took behind its last checkpoint.
class Processes {
 public:
  explicit Processes(const RunHistory& history) {
    for (const Start& start : history.starts) {
      while (!in_force_.empty() && in_force_.back()->first_step >= start.first_step) {
        in_force_.pop_back();
      }
      in_force_.push_back(&start);
    }
  }
  const Start* of_step(int64_t step) const {
    const auto next = std::ranges::lower_bound(in_force_, step, {}, &Start::first_step);
    return next == in_force_.begin() ? nullptr : *std::prev(next);
  }

 private:
  std::vector<const Start*> in_force_;  // in rising order of first_step
};

std::vector<Segment> cut(const RunHistory& history, const Processes& processes, const Cut& is_cut) {
  std::vector<Segment> segments;
  const std::span<const Step> steps = history.steps;
  for (size_t begin = 0; begin < steps.size();) {
    size_t end = begin + 1;
    while (end < steps.size() && !is_cut(steps[end - 1], steps[end])) ++end;
    segments.push_back({.steps = steps.subspan(begin, end - begin),
                        .start = processes.of_step(steps[begin].step)});
    begin = end;
  }
  return segments;
}

}  // namespace

const Start* start_of_step(const RunHistory& history, int64_t step) {
  return Processes(history).of_step(step);
}

std::vector<Segment> processes_of(const RunHistory& history) {
  const Processes processes(history);
  return cut(history, processes, [&](const Step& before, const Step& after) {
    return processes.of_step(before.step) != processes.of_step(after.step);
  });
}

std::vector<Segment> segments_of(const RunHistory& history) {
  std::vector<int64_t> changes;  // steps done before the rung changed
  for (const OutOfMemory& event : history.out_of_memory) {
    if (!event.is_again) changes.push_back(event.step);
  }
  std::ranges::sort(changes);
  const Processes processes(history);
  return cut(history, processes, [&](const Step& before, const Step& after) {
    if (processes.of_step(before.step) != processes.of_step(after.step)) return true;
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
