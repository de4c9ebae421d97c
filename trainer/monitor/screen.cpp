#include "monitor/screen.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "monitor/text_block.h"
#include "monitor/whole.h"

namespace rung::monitor {
namespace {

constexpr size_t kMostProcessesShown = 8;

using Parts = std::vector<std::string>;

std::string joined(const Parts& parts) { return fmt::format("{}", fmt::join(parts, ", ")); }

// "name 1.2 GiB" where the figure is there.
void add_bytes(Parts& parts, std::string_view name, std::optional<Bytes> bytes) {
  if (bytes) parts.push_back(fmt::format("{} {}", name, format_bytes(*bytes)));
}

std::string state_text(const Snapshot& snapshot) {
  const std::string where =
      snapshot.host.empty() ? "" : fmt::format(", pid {} on {}", snapshot.pid, snapshot.host);
  const std::string device = snapshot.device.empty() ? "" : ", " + snapshot.device;
  switch (snapshot.state) {
    case RunState::kStarting:
      return "starting: a process holds the folder, and has recorded nothing yet";
    case RunState::kRunning:
      return "running" + where + device;
    case RunState::kUnseen:
      return fmt::format(
          "unseen{}{}: no lock of that machine can be seen from here; the last row came {} ago",
          where, device, format_duration(snapshot.seconds_since_row));
    case RunState::kKilled:
      return "killed: no process holds the folder, and nothing says how the run ended" + where +
             "; `rung train CONFIG` goes on from its last checkpoint";
    case RunState::kEnded:
      break;
  }
  return fmt::format("ended with exit code {}: {}", snapshot.outcome->exit_code,
                     snapshot.outcome->exit_reason);
}

Parts progress_parts(const RunProgress& progress) {
  if (!progress.step) return {};
  Parts parts;
  std::string step = fmt::format("step {}", format_count(*progress.step));
  if (progress.total_steps) {
    step += fmt::format(" of {} ({} %)", format_count(*progress.total_steps),
                        100 * *progress.step / *progress.total_steps);
  }
  parts.push_back(step);
  if (progress.epoch) parts.push_back(fmt::format("epoch {:.2f}", *progress.epoch));
  if (progress.tokens_per_second) {
    parts.push_back(
        fmt::format("{} tok/s", format_count(whole(std::round(*progress.tokens_per_second)))));
  }
  if (progress.seconds_left) {
    parts.push_back("ETA " + format_duration(*progress.seconds_left));
  }
  return parts;
}

Parts loss_parts(const RunProgress& progress) {
  Parts parts;
  if (progress.loss) parts.push_back(fmt::format("{:.4f}", *progress.loss));
  if (progress.validation_loss) {
    parts.push_back(fmt::format("validation {:.4f} (step {})", *progress.validation_loss,
                                format_count(*progress.validation_step)));
  }
  return parts;
}

// What the process holds, live bytes first, and beside it others and what is free. Of the GPU where
// that was asked, else of the limit.
void add_memory(const MemoryPicture& memory, TextBlock& block) {
  const Bytes live = memory.live.value_or(0);
  const Bytes peak = std::max(live, memory.peak.value_or(0));
  const Bytes held =
      std::max(peak, memory.reserved.value_or(0) + (memory.total ? memory.other.value_or(0) : 0));
  const bool has_gpu = memory.total.has_value();
  block.add_bar("memory",
                {{'#', live},
                 {'+', peak - live},
                 {'=', held - peak},
                 {'o', has_gpu ? memory.neighbours.value_or(0) : 0}},
                memory.total.value_or(memory.limit.value_or(0)));
  Parts legend;
  add_bytes(legend, "# live", memory.live);
  add_bytes(legend, "+ the step's peak", memory.peak);
  if (memory.reserved) add_bytes(legend, "= held in all", held);
  if (has_gpu) add_bytes(legend, "o others", memory.neighbours);
  add_bytes(legend, ". free", memory.free);
  add_bytes(legend, "of", memory.total);
  block.add_list("", legend);
  Parts peaks;
  add_bytes(peaks, "measured", memory.measured_peak);
  add_bytes(peaks, "planned", memory.planned_peak);
  add_bytes(peaks, "limit", memory.limit);
  block.add_list("peak", peaks);
}

Parts work_parts(const GpuFigures& gpu) {
  Parts parts;
  if (gpu.utilisation) parts.push_back(fmt::format("{} % busy", *gpu.utilisation));
  if (gpu.memory_utilisation) {
    parts.push_back(fmt::format("its memory {} %", *gpu.memory_utilisation));
  }
  if (gpu.temperature) parts.push_back(fmt::format("{} C", *gpu.temperature));
  if (gpu.power) {
    parts.push_back(gpu.power_limit
                        ? fmt::format("{:.0f} of {:.0f} W", *gpu.power, *gpu.power_limit)
                        : fmt::format("{:.0f} W", *gpu.power));
  }
  if (gpu.sm_clock) parts.push_back(fmt::format("{} MHz", format_count(*gpu.sm_clock)));
  if (gpu.memory_clock) {
    parts.push_back(fmt::format("memory {} MHz", format_count(*gpu.memory_clock)));
  }
  return parts;
}

void add_verdict(const Verdict& verdict, TextBlock& block) {
  block.add("verdict", fmt::format("{}: {}", name_of(verdict.kind), verdict.evidence));
  if (!verdict.findings.empty()) block.add("  to do", verdict.findings.front().advice);
}

void add_more_findings(const Verdict& verdict, TextBlock& block) {
  for (size_t i = 1; i < verdict.findings.size(); ++i) {
    const Finding& finding = verdict.findings[i];
    block.add("also", fmt::format("{}: {}", name_of(finding.kind), finding.evidence));
    block.add("  to do", finding.advice);
  }
}

Parts process_parts(const std::vector<GpuProcess>& processes) {
  if (processes.empty()) return {"none"};
  Parts parts;
  for (const GpuProcess& process : processes) {
    if (parts.size() == kMostProcessesShown) {
      parts.push_back(fmt::format("and {} more", processes.size() - kMostProcessesShown));
      break;
    }
    parts.push_back(
        fmt::format("pid {}{}", process.pid,
                    process.memory_used ? " with " + format_bytes(*process.memory_used) : ""));
  }
  return parts;
}

}  // namespace

std::vector<std::string> run_lines(const Snapshot& snapshot, int width, int height) {
  TextBlock block(width);
  // Three texts stand above the verdict, which is what a screen must not lack.
  const int each = height > 0 ? std::max(1, height / 6) : 0;
  block.add("run", state_text(snapshot), each);
  block.add("progress", joined(progress_parts(snapshot.progress)), each);
  block.add("loss", joined(loss_parts(snapshot.progress)), each);
  add_verdict(snapshot.verdict, block);
  add_memory(snapshot.memory, block);
  Parts gpu = snapshot.gpu ? work_parts(*snapshot.gpu) : Parts();
  if (!snapshot.why_no_gpu.empty()) gpu.push_back(snapshot.why_no_gpu);
  block.add_list("gpu", gpu);
  if (!snapshot.rung.empty()) {
    const std::string recoveries =
        fmt::format("; {} {}", format_count(snapshot.recoveries),
                    snapshot.recoveries == 1 ? "recovery" : "recoveries");
    block.add("rung", snapshot.rung + (snapshot.recoveries > 0 ? recoveries : ""));
  }
  add_more_findings(snapshot.verdict, block);
  return block.take();
}

std::vector<std::string> gpu_lines(std::span<const GpuFigures> gpus, int width) {
  TextBlock block(width);
  for (size_t i = 0; i < gpus.size(); ++i) {
    const GpuFigures& gpu = gpus[i];
    Parts parts;
    if (!gpu.name.empty()) parts.push_back(gpu.name);
    if (!gpu.pci_bus_id.empty()) parts.push_back(gpu.pci_bus_id);
    block.add_list(fmt::format("gpu {}", i), parts.empty() ? Parts{"no name"} : parts);
    if (gpu.memory) {
      block.add_bar("memory", {{'o', gpu.memory->used}}, gpu.memory->total);
      block.add("", fmt::format("o used {}, . free {}, of {}", format_bytes(gpu.memory->used),
                                format_bytes(gpu.memory->free), format_bytes(gpu.memory->total)));
    }
    block.add_list("work", work_parts(gpu));
    if (gpu.processes) block.add_list("processes", process_parts(*gpu.processes));
  }
  return block.take();
}

}  // namespace rung::monitor
