// A neighbour: what other processes have on the GPU rises far above the least that it was while
// this process trained. A fall is no finding: it harms nobody. Nor is anything on a CPU, where the
// figure is of all that goes on on the machine, page cache and all, and moves by gigabytes.
#include <fmt/format.h>

#include "base/units.h"
#include "monitor/findings.h"
#include "monitor/segments.h"

namespace rung::monitor {
namespace {

// A CUDA context alone takes 300 MiB and more, so that every program that begins to compute is
// seen; the windows of a desktop come and go with some 10 MiB each.
constexpr Bytes kLeastRise = Bytes{256} << 20;

struct Rise {
  const Step* low = nullptr;   // before it
  const Step* high = nullptr;  // at the top
  const Step* jump = nullptr;  // what rose most between the two
  const Step* seen = nullptr;  // the last in which it was still there
  const Start* start = nullptr;
  Bytes last = 0;  // at the end of the process's steps
  Bytes bytes() const { return *high->memory_neighbours - *low->memory_neighbours; }
};

const Step* largest_jump(const Step* low, const Step* high) {
  const Step* jump = high;
  Bytes largest = 0;
  Bytes before = *low->memory_neighbours;
  for (const Step* step = low + 1; step <= high; ++step) {
    if (!step->memory_neighbours) continue;
    if (*step->memory_neighbours - before > largest) {
      largest = *step->memory_neighbours - before;
      jump = step;
    }
    before = *step->memory_neighbours;
  }
  return jump;
}

// Behind the top; what comes again after it had gone is another one.
const Step* last_seen(const Rise& rise, std::span<const Step> steps) {
  const Step* seen = rise.high;
  for (const Step* step = rise.high; step <= &steps.back(); ++step) {
    if (!step->memory_neighbours) continue;
    if (*step->memory_neighbours - *rise.low->memory_neighbours < kLeastRise) break;
    seen = step;
  }
  return seen;
}

std::optional<Rise> largest_rise(const Segment& process) {
  if (process.start == nullptr || process.start->pci_bus_id.empty()) return std::nullopt;
  Rise rise{.start = process.start};
  const Step* low = nullptr;
  for (const Step& step : process.steps) {
    if (!step.memory_neighbours) continue;
    rise.last = *step.memory_neighbours;
    if (low == nullptr || *step.memory_neighbours < *low->memory_neighbours) low = &step;
    const Bytes here = *step.memory_neighbours - *low->memory_neighbours;
    if (rise.high == nullptr || here > rise.bytes()) {
      rise.low = low;
      rise.high = &step;
    }
  }
  if (rise.high == nullptr || rise.bytes() < kLeastRise) return std::nullopt;
  rise.jump = largest_jump(rise.low, rise.high);
  rise.seen = last_seen(rise, process.steps);
  return rise;
}

constexpr const char* kAdvice =
    "see with nvidia-smi who it is, and let it wait or run on another GPU (CUDA_VISIBLE_DEVICES); "
    "if it has to stay, lower memory_limit by as much, so that the plan leaves room for it";

Finding finding_of(const Rise& rise) {
  const bool is_still_there = rise.last - *rise.low->memory_neighbours >= kLeastRise;
  Finding finding{.kind = Kind::kNeighbour,
                  .harm = is_still_there ? Harm::kThreat : Harm::kNone,
                  .cause = Cause{.process = rise.start,
                                 .first_step = rise.jump->step,
                                 .last_step = rise.seen->step,
                                 .bytes = static_cast<double>(rise.bytes())},
                  .step = rise.jump->step};
  finding.evidence = fmt::format(
      "other processes on the GPU took {} more while this one trained: from {} after step {} to {} "
      "after step {}, most of it in step {}; {}",
      format_bytes(rise.bytes()), format_bytes(*rise.low->memory_neighbours), rise.low->step,
      format_bytes(*rise.high->memory_neighbours), rise.high->step, rise.jump->step,
      is_still_there ? fmt::format("they have {} now", format_bytes(rise.last))
                     : "it has been given back since");
  finding.advice = kAdvice;
  finding.figures = {{"rise", rise.bytes()},
                     {"from", *rise.low->memory_neighbours},
                     {"from_step", rise.low->step},
                     {"to", *rise.high->memory_neighbours},
                     {"to_step", rise.high->step},
                     {"step", rise.jump->step},
                     {"last", rise.last}};
  return finding;
}

}  // namespace

std::optional<Finding> find_neighbour(const RunHistory& history) {
  std::optional<Rise> largest;
  for (const Segment& process : processes_of(history)) {
    const std::optional<Rise> rise = largest_rise(process);
    if (rise && (!largest || rise->bytes() > largest->bytes())) largest = rise;
  }
  if (!largest) return std::nullopt;
  return finding_of(*largest);
}

}  // namespace rung::monitor
