// Fragmentation: a caching allocator holds far more than tensors ever took at once, because what is
// free lies in pieces that the next tensor does not fit into.
//
// What is cached is no fault: a large step, an evaluation, or the trial of the largest batches
// before the first step leave as much reserved as they took, and it is used again. So reserved
// bytes are compared with the largest peak so far in the process, and those of the first step are
// excused as far as the plan had counted with them. Nothing on a CPU is one: what is kept there are
// whole blocks, which go back to the system where others are needed.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "monitor/findings.h"
#include "monitor/segments.h"

namespace rung::monitor {
namespace {

// The allocator's own rounding takes 2 to 6 % over the tensors, up to 16 % in small models
// (docs/decisions/caching-model.md), and 6 % where the lengths of batches vary.
constexpr double kMostReservedOverPeak = 1.25;
// Segments grow by 20 MiB and libraries hold workspaces in them, which is much of a small model.
constexpr Bytes kLeastExcess = Bytes{256} << 20;

struct Excess {
  const Step* step = nullptr;
  Bytes needed = 0;       // the largest peak so far
  int64_t last_step = 0;  // in which there was still one
  const Start* start = nullptr;
  Bytes bytes() const { return step->memory_reserved - needed; }
};

std::optional<Excess> largest_excess(const RunHistory& history, const Segment& process) {
  const Step& first = process.steps.front();
  const Bytes planned = process.start == nullptr ? 0 : process.start->memory_planned;
  Bytes needed = std::min(planned, first.memory_reserved);
  auto evaluation =
      std::ranges::lower_bound(history.evaluations, first.step - 1, {}, &Evaluation::step);
  std::optional<Excess> largest;
  int64_t last_step = 0;
  for (const Step& step : process.steps) {
    needed = std::max(needed, step.memory_peak);
    // Those behind earlier steps have run by the end of this one.
    for (; evaluation != history.evaluations.end() && evaluation->step < step.step; ++evaluation) {
      needed = std::max(needed, evaluation->memory_peak);
    }
    const Excess excess{.step = &step, .needed = needed, .start = process.start};
    const bool is_far = static_cast<double>(step.memory_reserved) >
                        kMostReservedOverPeak * static_cast<double>(needed);
    if (!is_far || excess.bytes() < kLeastExcess) continue;
    if (!largest || excess.bytes() > largest->bytes()) largest = excess;
    last_step = step.step;
  }
  if (largest) largest->last_step = last_step;
  return largest;
}

Finding finding_of(const Excess& excess) {
  const double over = static_cast<double>(excess.step->memory_reserved) /
                      static_cast<double>(std::max<Bytes>(excess.needed, 1));
  Finding finding{.kind = Kind::kFragmentation,
                  .cause = Cause{.process = excess.start,
                                 .first_step = excess.step->step,
                                 .last_step = excess.last_step,
                                 .bytes = static_cast<double>(excess.bytes())},
                  .step = excess.step->step};
  finding.evidence = fmt::format(
      "after step {} {} were reserved for tensors, though the largest peak so far was {} ({} more, "
      "a factor of {:.2f}; up to {:.2f} is usual)",
      excess.step->step, format_bytes(excess.step->memory_reserved), format_bytes(excess.needed),
      format_bytes(excess.bytes()), over, kMostReservedOverPeak);
  finding.advice =
      "batches of changing size leave gaps between tensors: sample_packing: true makes them alike; "
      "starting again with --resume auto closes the gaps that there are";
  finding.figures = {{"step", excess.step->step},
                     {"reserved", excess.step->memory_reserved},
                     {"largest_peak", excess.needed},
                     {"excess", excess.bytes()},
                     {"ratio", over}};
  return finding;
}

}  // namespace

std::optional<Finding> find_fragmentation(const RunHistory& history) {
  std::optional<Excess> largest;
  for (const Segment& process : processes_of(history)) {
    if (process.start == nullptr || process.start->pci_bus_id.empty()) continue;
    const std::optional<Excess> excess = largest_excess(history, process);
    if (excess && (!largest || excess->bytes() > largest->bytes())) largest = excess;
  }
  if (!largest) return std::nullopt;
  return finding_of(*largest);
}

}  // namespace rung::monitor
