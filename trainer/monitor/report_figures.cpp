#include "monitor/report_figures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>

#include "monitor/statistics.h"

namespace rung::monitor {
namespace {

// A record may name any number of components; so many have a colour of their own.
constexpr size_t kMaxComponents = 12;
constexpr size_t kMoreColours = 4;  // for those that are not in kComponentOrder
constexpr size_t kMostPhases = 64;  // likewise, of rows of a table
constexpr const char* kRest = "other";

constexpr std::array<std::string_view, 10> kComponentOrder = {
    "base_weights", "adapters",  "optimizer", "gradients", "block_inputs",
    "activations",  "workspace", "head",      "kv_cache",  "library"};
constexpr std::array<std::string_view, 6> kPhaseOrder = {"load", "probe", "train",
                                                         "eval", "save",  "resume"};

template <size_t Size>
size_t place_in(const std::array<std::string_view, Size>& order, std::string_view name) {
  return static_cast<size_t>(std::ranges::find(order, name) - order.begin());
}

std::optional<Bytes> value_in(const std::map<std::string, Bytes>& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

double median_tokens_per_second(const std::vector<Step>& steps) {
  std::vector<double> rates;
  for (const Step& step : steps) {
    if (std::isfinite(step.tokens_per_second) && step.tokens_per_second > 0.0)
      rates.push_back(step.tokens_per_second);
  }
  return median(std::move(rates));
}

std::map<std::string, Bytes> measured_phases(const RunHistory& history) {
  std::map<std::string, Bytes> phases;
  if (history.outcome) phases = history.outcome->memory_by_phase;
  const auto raise = [&](const char* phase, Bytes bytes) {
    if (bytes > 0) phases[phase] = std::max(phases[phase], bytes);
  };
  // Of earlier processes too, and while there is no run.json yet.
  for (const Step& step : history.steps) raise("train", step.memory_peak);
  for (const Evaluation& evaluation : history.evaluations) raise("eval", evaluation.memory_peak);
  return phases;
}

std::map<std::string, Bytes> planned_phases(const RunHistory& history) {
  std::map<std::string, Bytes> phases;
  for (const Start& start : history.starts) {
    for (const auto& [phase, bytes] : start.memory_planned_by_phase) {
      phases[phase] = std::max(phases[phase], bytes);
    }
  }
  if (phases.empty() && history.outcome) phases = history.outcome->memory_planned_by_phase;
  return phases;
}

void add_phases(const RunHistory& history, RunFigures& figures) {
  const auto planned = planned_phases(history);
  const auto measured = measured_phases(history);
  std::set<std::string> names;
  for (const auto& [name, bytes] : planned) names.insert(name);
  for (const auto& [name, bytes] : measured) names.insert(name);
  for (const std::string& name : names) {
    figures.phases.push_back({name, value_in(planned, name), value_in(measured, name)});
    figures.memory_measured =
        std::max(figures.memory_measured, figures.phases.back().measured.value_or(0));
  }
  std::ranges::stable_sort(figures.phases, {},
                           [](const PhaseMemory& row) { return place_in(kPhaseOrder, row.phase); });
  figures.phases.resize(std::min(figures.phases.size(), kMostPhases));
}

void add_plan(const RunHistory& history, RunFigures& figures) {
  if (history.outcome) {
    figures.memory_limit = history.outcome->memory_limit;
    figures.memory_planned = history.outcome->memory_planned;
    figures.memory_measured = history.outcome->memory_measured;
  }
  for (const Start& start : history.starts) {
    figures.total_steps = start.total_steps;
    if (start.memory_limit > 0) figures.memory_limit = start.memory_limit;
    figures.memory_planned = std::max(figures.memory_planned, start.memory_planned);
  }
}

// The largest bytes of each component that has any in some step.
ByComponent largest_components(const RunHistory& history) {
  ByComponent largest;
  for (const Step& step : history.steps) {
    for (size_t i = 0; i < step.memory_at_peak.size(); ++i) {
      if (step.memory_at_peak.bytes(i) <= 0) continue;
      Bytes& most = largest[step.memory_at_peak.name(i)];
      most = std::max(most, step.memory_at_peak.bytes(i));
    }
  }
  return largest;
}

void add_components(const RunHistory& history, RunFigures& figures) {
  const ByComponent largest = largest_components(history);
  if (largest.empty()) return;
  std::vector<std::string> names;
  for (size_t i = 0; i < largest.size(); ++i) {
    if (largest.name(i) != kRest) names.push_back(largest.name(i));
  }
  std::ranges::stable_sort(names, std::greater<>(),
                           [&](const std::string& name) { return largest.at(name); });
  const bool has_rest = largest.contains(kRest) || names.size() >= kMaxComponents;
  names.resize(std::min(names.size(), kMaxComponents - 1));
  std::ranges::sort(names);
  std::ranges::stable_sort(names, {},
                           [](const std::string& name) { return place_in(kComponentOrder, name); });
  if (has_rest) names.push_back(kRest);
  const Start last = history.starts.empty() ? Start() : history.starts.back();
  size_t num_unknown = 0;
  for (const std::string& name : names) {
    const size_t known = place_in(kComponentOrder, name);
    const bool is_known = known < kComponentOrder.size();
    const size_t colour = name == kRest ? 0
                          : is_known    ? known + 1
                                        : kComponentOrder.size() + 1 + num_unknown++ % kMoreColours;
    const ByComponent& planned = last.memory_planned_by_component;
    figures.components.push_back(
        {.name = name,
         .css_class = "c" + std::to_string(colour),
         .planned = planned.contains(name) ? std::optional(planned.at(name)) : std::nullopt});
  }
}

void add_highest_step(const RunHistory& history, RunFigures& figures) {
  if (history.steps.empty()) return;
  const auto highest = std::ranges::max_element(history.steps, {}, &Step::memory_peak);
  if (highest->memory_peak <= 0) return;
  figures.highest_step_idx = static_cast<size_t>(highest - history.steps.begin());
  const std::vector<double> parts = parts_of(highest->memory_at_peak, figures);
  for (size_t i = 0; i < parts.size(); ++i) {
    figures.components[i].measured = static_cast<Bytes>(parts[i]);
  }
}

void add_events(const RunHistory& history, RunFigures& figures) {
  std::vector<RunEvent>& events = figures.events;
  for (size_t i = 1; i < history.starts.size(); ++i) {
    const Start& start = history.starts[i];
    events.push_back({.kind = RunEvent::Kind::kRestart,
                      .step = start.first_step,
                      .to = start.rung,
                      .reason = start.device + (start.host.empty() ? "" : " on " + start.host)});
  }
  for (const OutOfMemory& row : history.out_of_memory) {
    events.push_back({.kind = row.is_again ? RunEvent::Kind::kAgain : RunEvent::Kind::kRungChange,
                      .step = row.step,
                      .from = row.from,
                      .to = row.to,
                      .reason = row.during + (row.during.empty() ? "" : ": ") + row.reason});
  }
  if (history.out_of_memory.empty() && history.outcome) {  // a folder without such rows
    for (const RungChange& change : history.outcome->rung_changes) {
      events.push_back({.kind = RunEvent::Kind::kRungChange,
                        .step = change.step,
                        .from = change.from,
                        .to = change.to,
                        .reason = change.reason});
    }
  }
  std::ranges::stable_sort(events, {}, &RunEvent::step);
  for (size_t i = 0; i < events.size(); ++i) events[i].number = static_cast<int>(i + 1);
}

}  // namespace

const char* word_of(RunEvent::Kind kind) {
  switch (kind) {
    case RunEvent::Kind::kRestart:
      return "restart";
    case RunEvent::Kind::kAgain:
      return "once more";
    case RunEvent::Kind::kRungChange:
      return "rung";
  }
  return "";
}

RunFigures figures_of(const RunHistory& history) {
  RunFigures figures;
  if (!history.steps.empty()) {
    const Step& last = history.steps.back();
    figures.steps = last.step;
    figures.tokens = last.tokens_total;
    figures.seconds = last.elapsed_seconds;
  }
  figures.skipped_steps = std::ranges::count_if(history.steps, &Step::is_skipped);
  if (history.outcome) {
    figures.steps = std::max(figures.steps, history.outcome->steps);
    figures.tokens = std::max(figures.tokens, history.outcome->tokens);
    figures.seconds = std::max(figures.seconds, history.outcome->seconds);
    figures.skipped_steps = std::max(figures.skipped_steps, history.outcome->skipped_steps);
  }
  figures.median_tokens_per_second = median_tokens_per_second(history.steps);
  add_plan(history, figures);
  add_phases(history, figures);
  add_components(history, figures);
  add_highest_step(history, figures);
  add_events(history, figures);
  return figures;
}

std::vector<double> parts_of(const ByComponent& at_peak, const RunFigures& figures) {
  std::vector<double> parts(figures.components.size());
  for (size_t i = 0; i < at_peak.size(); ++i) {
    const Bytes bytes = at_peak.bytes(i);
    const auto found =
        std::ranges::find(figures.components, at_peak.name(i), &ComponentMemory::name);
    const bool is_listed = found != figures.components.end();
    if (bytes <= 0 || parts.empty()) continue;
    (is_listed ? parts[static_cast<size_t>(found - figures.components.begin())] : parts.back()) +=
        static_cast<double>(bytes);
  }
  return parts;
}

std::vector<Start> starts_in_force(const RunHistory& history) {
  std::vector<Start> starts;
  for (const Start& start : history.starts) {
    while (!starts.empty() && starts.back().first_step >= start.first_step) starts.pop_back();
    starts.push_back(start);
  }
  if (starts.empty() && history.outcome) {  // a folder without such rows
    starts.push_back({.memory_limit = history.outcome->memory_limit,
                      .memory_planned = history.outcome->memory_planned});
  }
  return starts;
}

}  // namespace rung::monitor
