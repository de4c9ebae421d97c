// Creep: what is live at the end of a step is the same after every step of a sound run (weights,
// adapter, moments), so a rise that goes on is a leak.
//
// The rise has to be sure (Mann-Kendall), to go on through all quarters of the steps looked at (a
// cache that fills, or a single jump, does not), to be worth telling, and to remain where
// everything that the sizes of the batches can explain is taken off. The slope is Theil-Sen's.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"
#include "monitor/findings.h"
#include "monitor/segments.h"
#include "monitor/statistics.h"
#include "monitor/whole.h"

namespace rung::monitor {
namespace {

// The first steps allocate what stays: moments, tables of positions, the libraries' scratch memory.
constexpr size_t kWarmUpSteps = 5;
constexpr size_t kFewestSteps = 12;  // four quarters of three
// All pairs are looked at; 256 points keep that below a millisecond.
constexpr size_t kMostPoints = 256;
// One alarm in a thousand looks at noise, if it were the only test; 7 steps in order pass it.
constexpr double kLeastConfidence = 0.999;
// A quarter has to add this share of what the average quarter adds: a leak of every n-th step does,
// a cache that fills, or one jump, does not.
constexpr double kLeastShareOfQuarter = 0.25;
// Live bytes are counted, not sampled, so that little is sure; but a thousandth of what is live can
// wait for more steps, and so can a small buffer.
constexpr double kLeastGrowth = double{64 << 10};
constexpr double kLeastRelativeGrowth = 1e-3;
// A rise within the scatter around it is not worth an alarm, however sure its sign is.
constexpr double kLeastGrowthOverScatter = 3.0;
constexpr double kMostConfidence = 0.9999;  // more is not claimed

struct Rise {
  double slope = 0.0;   // bytes a step
  double growth = 0.0;  // bytes, over the steps looked at
  double confidence = 0.0;
};

bool rises_in_every_quarter(const std::vector<double>& values) {
  std::array<double, 4> levels{};
  for (size_t quarter = 0; quarter < levels.size(); ++quarter) {
    const auto begin = static_cast<std::ptrdiff_t>(quarter * values.size() / levels.size());
    const auto end = static_cast<std::ptrdiff_t>((quarter + 1) * values.size() / levels.size());
    levels[quarter] = median({values.begin() + begin, values.begin() + end});
  }
  const double average = (levels.back() - levels.front()) / (levels.size() - 1);
  for (size_t quarter = 1; quarter < levels.size(); ++quarter) {
    const double added = levels[quarter] - levels[quarter - 1];
    if (added <= 0.0 || added < kLeastShareOfQuarter * average) return false;
  }
  return true;
}

std::optional<Rise> rise_of(const Points& all, double least_growth) {
  const Points points = thinned(all, kMostPoints);
  if (!rises_in_every_quarter(points.y)) return std::nullopt;
  Rise rise{.slope = theil_sen_slope(points.x, points.y),
            .confidence = rising_confidence(points.y)};
  rise.growth = rise.slope * (points.x.back() - points.x.front());
  std::vector<double> scatter;
  for (size_t i = 0; i < points.x.size(); ++i) {
    scatter.push_back(points.y[i] - rise.slope * points.x[i]);
  }
  if (rise.confidence < kLeastConfidence || rise.growth < least_growth ||
      rise.growth < kLeastGrowthOverScatter * robust_deviation(scatter)) {
    return std::nullopt;
  }
  return rise;
}

Points live_of(std::span<const Step> steps) {
  Points points;
  for (const Step& step : steps) {
    points.x.push_back(static_cast<double>(step.step));
    points.y.push_back(static_cast<double>(step.memory_live - steps.front().memory_live));
  }
  return points;
}

// `live` without what follows the batch at hand (something kept until the next one) or the largest
// of the segment so far (a buffer that only grows). Nothing where batches and time cannot be told
// apart. `num_before` of the segment's steps are not in `live`.
std::optional<Points> without_shapes(const Points& live, std::span<const Step> segment,
                                     size_t num_before) {
  std::vector<double> tokens;
  std::vector<double> largest;
  double largest_so_far = 0.0;
  for (size_t i = 0; i < segment.size(); ++i) {
    const auto here = static_cast<double>(segment[i].largest_micro_batch.tokens);
    largest_so_far = std::max(largest_so_far, here);
    if (i < num_before) continue;
    tokens.push_back(here);
    largest.push_back(largest_so_far);
  }
  std::vector<double> rest = without_causes(live.y, live.x, {tokens, largest});
  if (rest.empty()) return std::nullopt;
  for (double& value : rest) value = std::round(value);  // whole bytes: no trend in rounding errors
  return Points{live.x, std::move(rest)};
}

std::optional<Rise> unexplained_rise(std::span<const Step> segment, size_t num_before) {
  const std::span<const Step> steps = segment.subspan(num_before);
  const Points live = live_of(steps);
  const double least_growth =
      std::max(kLeastGrowth, kLeastRelativeGrowth * static_cast<double>(steps.front().memory_live));
  if (!rise_of(live, least_growth)) return std::nullopt;  // the usual case, and the cheap one
  const std::optional<Points> rest = without_shapes(live, segment, num_before);
  return rest ? rise_of(*rest, least_growth) : std::nullopt;
}

struct Creep {
  std::span<const Step> steps;  // in which it goes on
  Rise rise;
};

// All steps behind the warm-up, then the later half of them, and so on: a leak may begin late, with
// the first evaluation, say.
std::optional<Creep> creep_in(const Segment& segment) {
  const std::span<const Step> all = segment.steps;
  size_t begin = kWarmUpSteps;
  while (begin + kFewestSteps <= all.size()) {
    if (const std::optional<Rise> rise = unexplained_rise(all, begin)) {
      return Creep{all.subspan(begin), *rise};
    }
    begin += (all.size() - begin + 1) / 2;
  }
  return std::nullopt;
}

struct Component {
  std::string name;
  double slope = 0.0;  // bytes a step
};

// The one that grows fastest; without a name where the record does not divide live bytes.
Component fastest_component(std::span<const Step> steps) {
  Component fastest;
  const ByComponent& last = steps.back().memory_live_by_component;
  for (size_t i = 0; i < last.size(); ++i) {
    Points points;
    for (const Step& step : steps) {
      points.x.push_back(static_cast<double>(step.step));
      points.y.push_back(static_cast<double>(step.memory_live_by_component.at(last.name(i))));
    }
    points = thinned(points, kMostPoints);
    const double slope = theil_sen_slope(points.x, points.y);
    if (slope > fastest.slope) fastest = {last.name(i), slope};
  }
  return fastest;
}

// The step in which the largest of the last peaks, growing like this, meets the limit.
std::optional<int64_t> step_at_limit(const Creep& creep, Bytes limit) {
  constexpr size_t kLastSteps = 100;  // enough for a large batch to be among them
  if (limit <= 0) return std::nullopt;
  const auto last = creep.steps.last(std::min(kLastSteps, creep.steps.size()));
  const Bytes peak = std::ranges::max(last, {}, &Step::memory_peak).memory_peak;
  const double steps = static_cast<double>(limit - peak) / creep.rise.slope;
  if (steps > 1e9) return std::nullopt;  // in no run's life
  return creep.steps.back().step + static_cast<int64_t>(std::max(0.0, steps));
}

std::string reach_text(std::optional<int64_t> reached, int64_t total_steps, Bytes limit) {
  if (!reached) return "";
  if (total_steps > 0 && *reached >= total_steps) {
    return fmt::format("; the run ends before the limit of {} is reached", format_bytes(limit));
  }
  return fmt::format("; the limit of {} is reached near step {}", format_bytes(limit),
                     format_count(*reached));
}

Finding finding_of(const Creep& creep, const Segment& segment, const RunHistory& history) {
  const Bytes limit = tensor_limit_of(segment);
  const int64_t total_steps = segment.start == nullptr ? 0 : segment.start->total_steps;
  // The memory of a process that has ended is empty: that leak meets no limit any more.
  const bool is_earlier = segment.start != nullptr && segment.start != &history.starts.back();
  const std::optional<int64_t> reached =
      is_earlier || history.outcome ? std::nullopt : step_at_limit(creep, limit);
  const Component component = fastest_component(creep.steps);
  const Bytes slope = whole(creep.rise.slope);
  const Bytes growth = whole(creep.rise.growth);
  Finding finding{.kind = Kind::kCreep,
                  .cause = Cause{.process = segment.start,
                                 .first_step = creep.steps.front().step,
                                 .last_step = creep.steps.back().step,
                                 .bytes_per_step = creep.rise.slope},
                  .step = creep.steps.front().step};
  const bool is_reached = reached && (total_steps == 0 || *reached < total_steps);
  finding.harm = is_reached ? Harm::kThreat : Harm::kNone;
  finding.evidence = fmt::format(
      "what is live at the end of a step {} by {} a step{} (steps {} to {}: {} in all, {:.2f} % "
      "sure), and the sizes of the batches do not explain it{}{}",
      is_earlier ? "grew" : "grows", format_bytes(slope),
      is_earlier ? " in an earlier process" : "", creep.steps.front().step, creep.steps.back().step,
      format_bytes(growth), 100.0 * std::min(creep.rise.confidence, kMostConfidence),
      component.name.empty() ? "" : fmt::format("; it is \"{}\" that grows", component.name),
      reach_text(reached, total_steps, limit));
  finding.advice =
      "no key stops a leak: set save_steps so that a checkpoint is written before the limit is "
      "reached, and start again with --resume auto, which begins with empty memory; please report "
      "it with this folder's metrics.jsonl";
  finding.figures = {{"first_step", creep.steps.front().step},
                     {"last_step", creep.steps.back().step},
                     {"bytes_per_step", creep.rise.slope},
                     {"growth", growth},
                     {"confidence", std::min(creep.rise.confidence, kMostConfidence)},
                     {"component", component.name.empty() ? Json() : Json(component.name)},
                     {"limit", limit > 0 ? Json(limit) : Json()},
                     {"step_at_limit", reached ? Json(*reached) : Json()}};
  return finding;
}

}  // namespace

std::optional<Finding> find_creep(const RunHistory& history) {
  const std::vector<Segment> segments = segments_of(history);
  // The latest: it is the one that still goes on.
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (const std::optional<Creep> creep = creep_in(*segment)) {
      return finding_of(*creep, *segment, history);
    }
  }
  return std::nullopt;
}

}  // namespace rung::monitor
