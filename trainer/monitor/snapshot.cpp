#include "monitor/snapshot.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "base/this_machine.h"
#include "monitor/segments.h"

namespace rung::monitor {
namespace {

// Steps that tell how fast the run goes now; the evaluations and checkpoints between them count.
constexpr size_t kStepsOfPace = 20;

std::optional<double> finite(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<Bytes> positive(Bytes bytes) {
  if (bytes <= 0) return std::nullopt;
  return bytes;
}

// Of the process that took the last step; without steps where there is none.
Segment last_process(const RunHistory& history) {
  std::vector<Segment> processes = processes_of(history);
  return processes.empty() ? Segment() : processes.back();
}

std::optional<double> seconds_a_step(std::span<const Step> steps) {
  if (steps.empty()) return std::nullopt;
  const auto last = steps.last(std::min(kStepsOfPace, steps.size()));
  const double passed = last.back().time - last.front().time;
  if (last.size() > 1 && passed > 0.0) return passed / static_cast<double>(last.size() - 1);
  return last.back().seconds;
}

RunProgress progress_of(const RunHistory& history, RunState state) {
  RunProgress progress;
  if (!history.starts.empty()) {
    progress.step = history.starts.back().first_step;
    progress.total_steps = positive(history.starts.back().total_steps);
  }
  if (!history.evaluations.empty()) {
    progress.validation_loss = finite(history.evaluations.back().loss);
    progress.validation_step = history.evaluations.back().step;
  }
  if (history.steps.empty()) return progress;
  const Step& last = history.steps.back();
  progress.step = last.step;
  progress.epoch = last.epoch;
  progress.loss = finite(last.loss);
  progress.tokens_per_second = finite(last.tokens_per_second);
  const std::optional<double> pace = seconds_a_step(last_process(history).steps);
  const bool goes_on = state == RunState::kRunning || state == RunState::kUnseen;
  if (goes_on && progress.total_steps && pace) {
    progress.seconds_left =
        *pace * static_cast<double>(std::max<int64_t>(0, *progress.total_steps - last.step));
  }
  return progress;
}

MemoryPicture memory_of(const RunHistory& history) {
  MemoryPicture memory;
  if (!history.starts.empty()) {
    memory.limit = positive(history.starts.back().memory_limit);
    memory.planned_peak = positive(history.starts.back().memory_planned);
  }
  const Segment process = last_process(history);
  const std::span<const Step> steps = process.steps;
  if (steps.empty()) return memory;
  const Step& last = steps.back();
  memory.live = last.memory_live;
  memory.peak = last.memory_peak;
  memory.reserved = last.memory_reserved;
  memory.other = last.memory_other;
  const bool on_gpu = process.start != nullptr && !process.start->pci_bus_id.empty();
  if (on_gpu) memory.neighbours = last.memory_neighbours;
  Bytes measured = std::ranges::max(steps, {}, &Step::memory_peak).memory_peak;
  for (const Evaluation& evaluation : history.evaluations) {
    if (evaluation.step >= steps.front().step)
      measured = std::max(measured, evaluation.memory_peak);
  }
  memory.measured_peak = measured;
  return memory;
}

// The setting of training steps in force: that of the last change, or of the process that began
// after it. Evaluations and checkpoints change theirs alone.
std::string rung_of(const RunHistory& history) {
  if (history.starts.empty()) return "";
  const Start& start = history.starts.back();
  std::string rung = start.rung;
  for (const OutOfMemory& event : history.out_of_memory) {
    if (event.is_of_steps() && !event.is_again && event.step >= start.first_step) rung = event.to;
  }
  return rung;
}

// Bytes that the run itself has on the GPU. In a container the driver knows it by another pid: then
// it is what the record says.
Bytes own_bytes(const GpuFigures& gpu, const Snapshot& snapshot) {
  if (gpu.processes) {
    const auto own = std::ranges::find(*gpu.processes, snapshot.pid, &GpuProcess::pid);
    if (own != gpu.processes->end() && own->memory_used) return *own->memory_used;
  }
  return snapshot.memory.reserved.value_or(0) + snapshot.memory.other.value_or(0);
}

}  // namespace

Snapshot snapshot_of(const RunHistory& history, RunState state, Verdict verdict) {
  Snapshot snapshot{.state = state,
                    .seconds_since_row = seconds_since_1970() - last_row_time(history),
                    .outcome = history.outcome};
  if (!history.starts.empty()) {
    const Start& start = history.starts.back();
    snapshot.host = start.host;
    snapshot.pid = start.pid;
    snapshot.device = start.device;
  }
  snapshot.rung = rung_of(history);
  snapshot.recoveries = std::ssize(history.out_of_memory);
  snapshot.progress = progress_of(history, state);
  snapshot.memory = memory_of(history);
  snapshot.verdict = std::move(verdict);
  return snapshot;
}

void add_gpu(const RunHistory& history, const Nvml& nvml, Snapshot& snapshot) {
  if (snapshot.state != RunState::kRunning || history.starts.empty()) return;
  const Start& start = history.starts.back();
  if (start.pci_bus_id.empty()) return;
  if (start.host != host_name()) {
    snapshot.why_no_gpu = "it is in another machine, " + start.host + ": ask there";
    return;
  }
  snapshot.gpu = nvml.gpu(start.pci_bus_id);
  if (!snapshot.gpu) {
    snapshot.why_no_gpu =
        nvml.why_not().empty() ? "NVML knows no GPU at " + start.pci_bus_id : nvml.why_not();
    return;
  }
  if (snapshot.gpu->is_divided) {
    snapshot.why_no_gpu = "it is divided (MIG), and its memory is not told by instance";
  }
  if (!snapshot.gpu->memory) return;
  const GpuMemory& memory = *snapshot.gpu->memory;
  snapshot.memory.total = memory.total;
  snapshot.memory.free = memory.free;
  snapshot.memory.neighbours = std::max<Bytes>(0, memory.used - own_bytes(*snapshot.gpu, snapshot));
}

}  // namespace rung::monitor
