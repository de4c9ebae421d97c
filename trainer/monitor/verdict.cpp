#include "monitor/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <ranges>

#include "base/units.h"
#include "monitor/findings.h"

namespace rung::monitor {
namespace {

// Creep and spikes are told from 12 and 8 steps of one process on, past the first 5.
constexpr size_t kEnoughSteps = 17;

// Blames what was there before memory ran out, and says so in the finding about that.
void attribute(std::vector<Finding>& findings) {
  const auto out_of_memory = std::ranges::find(findings, Kind::kOutOfMemory, &Finding::kind);
  if (out_of_memory == findings.end()) return;
  std::string causes;
  for (Finding& finding : findings) {
    if (finding.kind == Kind::kOutOfMemory) continue;
    if (finding.explains_out_of_memory && finding.step <= out_of_memory->step) {
      finding.harm = Harm::kSuffered;
    }
    if (finding.harm != Harm::kSuffered) continue;
    causes += fmt::format("{}{}", causes.empty() ? "" : ", ", name_of(finding.kind));
  }
  out_of_memory->evidence += causes.empty() ? "; nothing else in the record explains it"
                                            : fmt::format("; what explains it: {}", causes);
}

std::string healthy_text(const RunHistory& history) {
  Bytes peak = 0;
  for (const Step& step : history.steps) peak = std::max(peak, step.memory_peak);
  const Bytes planned = history.starts.empty() ? 0 : history.starts.back().memory_planned;
  return fmt::format(
      "{} without a finding: the largest peak was {}{}, {} stayed live{}",
      format_counted(std::ssize(history.steps), "step"), format_bytes(peak),
      planned > 0 ? fmt::format(" of {} planned", format_bytes(planned)) : "",
      format_bytes(history.steps.back().memory_live),
      history.steps.size() < kEnoughSteps ? "; too few steps to tell creep or a spike" : "");
}

Verdict without_findings(const RunHistory& history) {
  if (history.steps.empty()) {
    return {.kind = Kind::kUnknown, .evidence = "the record has no step yet"};
  }
  return {.kind = Kind::kHealthy, .evidence = healthy_text(history)};
}

}  // namespace

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
  attribute(findings);
  std::ranges::stable_sort(findings, [](const Finding& a, const Finding& b) {
    return a.harm != b.harm ? a.harm > b.harm : a.kind < b.kind;
  });
  return {.kind = findings.front().kind,
          .evidence = findings.front().evidence,
          .findings = std::move(findings)};
}

}  // namespace rung::monitor
