#include "monitor/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <ranges>

#include "base/units.h"
#include "monitor/findings.h"
#include "monitor/segments.h"

namespace rung::monitor {
namespace {

// Creep and spikes are told from 12 and 8 steps of one process on, past the first 5.
constexpr size_t kEnoughSteps = 17;

// A leak, or what is held for nothing, that takes less of the limit is not to blame for it.
constexpr double kLeastShareOfLimit = 0.05;

// A moment at which memory ran out.
struct Shortage {
  int64_t step = 0;  // that was being taken
  const Start* process = nullptr;
};

std::vector<Shortage> shortages_of(const RunHistory& history) {
  std::vector<Shortage> shortages;
  for (const OutOfMemory& event : history.out_of_memory) {
    const bool is_named = event.process > 0 && event.process <= history.starts.size();
    shortages.push_back({.step = event.step + 1,
                         .process = is_named ? &history.starts[event.process - 1]
                                             : start_of_step(history, event.step + 1)});
  }
  if (has_ended_for_memory(history) && !history.steps.empty()) {
    shortages.push_back({.step = history.steps.back().step + 1,
                         .process = history.starts.empty() ? nullptr : &history.starts.back()});
  }
  return shortages;
}

// Whether the process lacked what `cause` had taken at that moment. The row of a step is written at
// its end, so that of the step before says what there was, too.
bool explains(const Cause& cause, Kind kind, const Shortage& shortage) {
  if (cause.process != shortage.process) return false;
  if (cause.first_step > shortage.step || cause.last_step < shortage.step - 1) return false;
  if (kind == Kind::kNeighbour || cause.process == nullptr) return true;
  const auto steps = static_cast<double>(shortage.step - cause.first_step);
  return cause.bytes + cause.bytes_per_step * steps >=
         kLeastShareOfLimit * static_cast<double>(cause.process->memory_limit);
}

// Blames what was there when memory ran out, and says so in the finding about that.
void attribute(const RunHistory& history, std::vector<Finding>& findings) {
  const auto out_of_memory = std::ranges::find(findings, Kind::kOutOfMemory, &Finding::kind);
  if (out_of_memory == findings.end()) return;
  const std::vector<Shortage> shortages = shortages_of(history);
  std::string causes;
  for (Finding& finding : findings) {
    if (finding.kind == Kind::kOutOfMemory) continue;
    const auto is_explained = [&](const Shortage& shortage) {
      return finding.cause && explains(*finding.cause, finding.kind, shortage);
    };
    if (std::ranges::any_of(shortages, is_explained)) finding.harm = Harm::kSuffered;
    if (finding.harm != Harm::kSuffered) continue;
    causes += fmt::format("{}{}", causes.empty() ? "" : ", ", name_of(finding.kind));
  }
  out_of_memory->evidence += causes.empty() ? "; nothing else in the record explains it"
                                            : fmt::format("; what explains it: {}", causes);
}

// Of the longest stretch whose steps may be compared.
size_t num_comparable(const RunHistory& history) {
  size_t most = 0;
  for (const Segment& segment : segments_of(history)) most = std::max(most, segment.steps.size());
  return most;
}

std::string healthy_text(const RunHistory& history) {
  Bytes peak = 0;
  for (const Step& step : history.steps) peak = std::max(peak, step.memory_peak);
  for (const Evaluation& evaluation : history.evaluations) {
    peak = std::max(peak, evaluation.memory_peak);
  }
  const Bytes planned = history.starts.empty() ? 0 : history.starts.back().memory_planned;
  return fmt::format(
      "{} without a finding: the largest peak was {}{}, {} stayed live{}",
      format_counted(std::ssize(history.steps), "step"), format_bytes(peak),
      planned > 0 ? fmt::format(" of {} planned", format_bytes(planned)) : "",
      format_bytes(history.steps.back().memory_live),
      num_comparable(history) < kEnoughSteps ? "; too few steps to tell creep or a spike" : "");
}

Verdict without_findings(const RunHistory& history) {
  if (history.steps.empty()) {
    return {.kind = Kind::kUnknown, .evidence = "the record has no step yet"};
  }
  return {.kind = Kind::kHealthy, .evidence = healthy_text(history)};
}

}  // namespace

std::string_view name_of(Harm harm) {
  switch (harm) {
    case Harm::kNone:
      return "none";
    case Harm::kThreat:
      return "threat";
    case Harm::kSuffered:
      break;
  }
  return "suffered";
}

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kCreep:
      return "creep";
    case Kind::kNeighbour:
      return "neighbour";
    case Kind::kFragmentation:
      return "fragmentation";
    case Kind::kSpike:
      return "spike";
    case Kind::kOutOfMemory:
      return "out_of_memory";
    case Kind::kHealthy:
      return "healthy";
    case Kind::kUnknown:
      break;
  }
  return "unknown";
}

Verdict verdict_of(const RunHistory& history) {
  std::vector<Finding> findings;
  for (const auto look :
       {&find_creep, &find_neighbour, &find_fragmentation, &find_spike, &find_out_of_memory}) {
    if (std::optional<Finding> finding = look(history)) findings.push_back(std::move(*finding));
  }
  if (findings.empty()) return without_findings(history);
  attribute(history, findings);
  std::ranges::stable_sort(findings, [](const Finding& a, const Finding& b) {
    return a.harm != b.harm ? a.harm > b.harm : a.kind < b.kind;
  });
  return {.kind = findings.front().kind,
          .evidence = findings.front().evidence,
          .findings = std::move(findings)};
}

}  // namespace rung::monitor
