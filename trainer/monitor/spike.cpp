// A spike: one step, or a few, take far more than those around them, mostly because of a long
// example.
//
// Compared is what a step takes beside what stays after it (peak less live), so that large weights
// do not hide a spike and a leak does not make one. Whether the batch explains it is asked of the
// largest micro-batch: a step's own memory grows no faster than its tokens.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "monitor/findings.h"
#include "monitor/segments.h"
#include "monitor/statistics.h"

namespace rung::monitor {
namespace {

// With fewer, nothing is usual yet.
constexpr size_t kFewestSteps = 8;
// The tall end of what is usual is what four fifths of the steps stay below, so that a long example
// in every sixth step still stands out. Lengths of text spread by factors: a spike is above that
// end by four times the factor between it and the median, and by 1.75 at least. In simulated runs
// of 50 and 500 steps with log-normal lengths (deviation of the logarithm 0.3 and 0.5, one document
// or 4 x 4 a step) one run in ten or fewer has such a step by chance; an example of ten median
// lengths is seen in more than half of them, with single documents in more than four fifths.
constexpr double kUsualShare = 0.8;
constexpr double kPowerOfSpread = 4.0;
constexpr double kLeastOverUsual = 1.75;
// A peak past the plan, or past this share of the limit, is told from kLeastOverUsual on, however
// far lengths spread.
constexpr double kAlarmingShareOfLimit = 0.95;
// Less of the whole peak is nothing to run out of memory by.
constexpr double kLeastShareOfPeak = 0.05;
// A batch explains a spike where its tokens grew by half as much as its memory, or more: the rest
// is rounding, chunks and tiles.
constexpr double kLeastExplained = 0.5;
constexpr size_t kMostSourcesShown = 3;

constexpr const char* kShorterRows =
    "lower sequence_len (excess_length_strategy: truncate or drop says what becomes of longer "
    "rows), split the rows named, or lower micro_batch_size";

double own_bytes(const Step& step) {
  return static_cast<double>(std::max<Bytes>(0, step.memory_peak - step.memory_live));
}

double tokens_of(const Step& step) { return static_cast<double>(step.largest_micro_batch.tokens); }

template <typename Figure>
std::vector<double> figures_of(std::span<const Step> steps, Figure figure) {
  std::vector<double> figures;
  figures.reserve(steps.size());
  for (const Step& step : steps) figures.push_back(figure(step));
  return figures;
}

struct Spike {
  const Step* step = nullptr;
  double usual = 0.0;         // bytes that the median step of its segment takes for itself
  double usual_tokens = 0.0;  // in the largest micro-batch of the median step
  Bytes usual_peak = 0;
  size_t num_alike = 0;  // steps of the segment that stand out, this one included
  const Start* start = nullptr;

  double excess() const { return own_bytes(*step) - usual; }
  bool is_explained() const {
    if (usual <= 0.0 || usual_tokens <= 0.0) return false;
    return tokens_of(*step) / usual_tokens - 1.0 >=
           kLeastExplained * (own_bytes(*step) / usual - 1.0);
  }
};

// What a figure has to exceed to stand out from `figures`.
double least_of_spike(const std::vector<double>& figures) {
  const double usual = median(figures);
  const double tall = quantile(figures, kUsualShare);
  if (usual <= 0.0) return tall * kLeastOverUsual;
  return tall * std::max(kLeastOverUsual, std::pow(tall / usual, kPowerOfSpread));
}

bool is_alarming(const Step& step, const Segment& segment) {
  const Bytes planned = segment.start == nullptr ? 0 : segment.start->memory_planned;
  const auto limit = static_cast<double>(tensor_limit_of(segment));
  return (planned > 0 && step.memory_peak > planned) ||
         (limit > 0.0 && static_cast<double>(step.memory_peak) > kAlarmingShareOfLimit * limit);
}

std::optional<Spike> largest_spike(const Segment& segment) {
  if (segment.steps.size() < kFewestSteps) return std::nullopt;
  const std::vector<double> own = figures_of(segment.steps, own_bytes);
  const double usual = median(own);
  const double least = least_of_spike(own);
  const double least_alarming = kLeastOverUsual * quantile(own, kUsualShare);
  Spike spike{.usual = usual, .start = segment.start};
  for (const Step& step : segment.steps) {
    const double excess = own_bytes(step) - usual;
    const double least_of_peak = kLeastShareOfPeak * static_cast<double>(step.memory_peak);
    const bool stands_out =
        own_bytes(step) > least || (own_bytes(step) > least_alarming && is_alarming(step, segment));
    if (!stands_out || excess < least_of_peak) continue;
    ++spike.num_alike;
    if (spike.step == nullptr || excess > spike.excess()) spike.step = &step;
  }
  if (spike.step == nullptr) return std::nullopt;
  spike.usual_tokens = median(figures_of(segment.steps, tokens_of));
  spike.usual_peak = static_cast<Bytes>(median(figures_of(
      segment.steps, [](const Step& step) { return static_cast<double>(step.memory_peak); })));
  return spike;
}

// "train.jsonl:17 (1,902 tokens), ..."
std::string sources_of(const LargestMicroBatch& batch) {
  std::vector<std::string> sources;
  for (const ExampleSize& example : batch.examples) {
    if (sources.size() == kMostSourcesShown) break;
    sources.push_back(fmt::format("{} ({} tokens)", example.source, format_count(example.tokens)));
  }
  return fmt::format("{}", fmt::join(sources, ", "));
}

std::string reason_of(const Spike& spike) {
  const LargestMicroBatch& batch = spike.step->largest_micro_batch;
  const std::string usual = format_count(static_cast<int64_t>(spike.usual_tokens));
  if (!spike.is_explained()) {
    return fmt::format("its largest micro-batch, {} tokens where {} are usual, does not explain it",
                       format_count(batch.tokens), usual);
  }
  const std::string sources = sources_of(batch);
  return fmt::format("its largest micro-batch has {} tokens where {} are usual{}{}",
                     format_count(batch.tokens), usual, sources.empty() ? "" : ": ", sources);
}

std::string advice_for(const Spike& spike) {
  if (!spike.is_explained()) {
    return "compare memory_at_peak of this step with that of its neighbours in metrics.jsonl; "
           "where "
           "it comes again, please report it";
  }
  if (spike.start != nullptr && spike.start->memory_planned >= spike.step->memory_peak) {
    return fmt::format("the plan has counted with it ({}); should less be wanted: {}",
                       format_bytes(spike.start->memory_planned), kShorterRows);
  }
  return kShorterRows;
}

Json rows_of(const Step& step) {
  Json rows = Json::array();
  for (const ExampleSize& example : step.largest_micro_batch.examples) {
    rows.push_back({{"source", example.source}, {"tokens", example.tokens}});
  }
  return rows;
}

Finding finding_of(const Spike& spike) {
  const Step& step = *spike.step;
  // The step went well; failed_spike() finds those that did not.
  Finding finding{.kind = Kind::kSpike, .step = step.step};
  finding.evidence = fmt::format(
      "step {} peaked at {}, {} above the usual {}{}; {}", step.step,
      format_bytes(step.memory_peak), format_bytes(static_cast<Bytes>(spike.excess())),
      format_bytes(spike.usual_peak),
      spike.num_alike > 1 ? fmt::format(", the largest of {} such steps", spike.num_alike) : "",
      reason_of(spike));
  finding.advice = advice_for(spike);
  finding.figures = {{"step", step.step},
                     {"peak", step.memory_peak},
                     {"usual_peak", spike.usual_peak},
                     {"excess", static_cast<Bytes>(spike.excess())},
                     {"tokens", step.largest_micro_batch.tokens},
                     {"usual_tokens", static_cast<int64_t>(spike.usual_tokens)},
                     {"explained", spike.is_explained()},
                     {"steps_alike", spike.num_alike},
                     {"rows", rows_of(step)}};
  return finding;
}

double longest_document(const Step& step) {
  return static_cast<double>(step.largest_micro_batch.longest);
}

// The longest row of what `event` interrupted. Rows of other versions do not say it: there it is
// that of the step as it was taken in the end.
std::optional<ExampleSize> longest_row(const RunHistory& history, const OutOfMemory& event) {
  if (event.longest) return event.longest;
  if (event.is_of_trial()) return std::nullopt;
  const auto step = std::ranges::lower_bound(history.steps, event.step + 1, {}, &Step::step);
  const bool is_there = step != history.steps.end() && step->step == event.step + 1;
  if (!is_there || step->largest_micro_batch.examples.empty()) return std::nullopt;
  return step->largest_micro_batch.examples.front();
}

// Memory ran out in a step with an uncommonly long row, or in the trial of the largest micro-batch
// because of one. No peak shows that: a step's is that of the attempt that succeeded, with smaller
// parts.
std::optional<Finding> failed_spike(const RunHistory& history) {
  if (history.steps.size() < kFewestSteps) return std::nullopt;
  const std::vector<double> longest = figures_of(history.steps, longest_document);
  const double least = least_of_spike(longest);
  for (const OutOfMemory& event : history.out_of_memory) {
    if (!event.is_of_steps()) continue;  // an evaluation, a checkpoint
    const std::optional<ExampleSize> row = longest_row(history, event);
    if (!row || static_cast<double>(row->tokens) <= least) continue;
    const auto usual = static_cast<int64_t>(median(longest));
    Finding finding{.kind = Kind::kSpike, .harm = Harm::kSuffered, .step = event.step + 1};
    finding.evidence =
        fmt::format("memory ran out in {}, whose longest row, {}, has {} tokens where {} are usual",
                    event.is_of_trial() ? "the trial of the largest micro-batch"
                                        : fmt::format("step {}", event.step + 1),
                    row->source, format_count(row->tokens), format_count(usual));
    finding.advice = kShorterRows;
    finding.figures = {{"step", event.step + 1},
                       {"tokens", row->tokens},
                       {"usual_tokens", usual},
                       {"explained", true},
                       {"rows", Json::array({{{"source", row->source}, {"tokens", row->tokens}}})}};
    return finding;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Finding> find_spike(const RunHistory& history) {
  if (std::optional<Finding> failed = failed_spike(history)) return failed;
  std::optional<Spike> largest;
  for (const Segment& segment : segments_of(history)) {
    const std::optional<Spike> spike = largest_spike(segment);
    if (spike && (!largest || spike->excess() > largest->excess())) largest = spike;
  }
  if (!largest) return std::nullopt;
  return finding_of(*largest);
}

}  // namespace rung::monitor
