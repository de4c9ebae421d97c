#include "training/plan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/units.h"
#include "training/does_not_fit.h"
#include "training/evaluation_plan.h"
#include "training/gpu_limit.h"

namespace rung::training {
namespace {

constexpr int64_t kTwentyFourGb = int64_t{23} << 30;   // what a program gets of a 24 GB card
constexpr int64_t kTwentyFourGbMultiprocessors = 128;  // of the largest such card, an RTX 4090
constexpr int64_t kBarWidth = 32;                      // characters

// The steps of a run on its own device, and as they would be on a GPU.
struct Peaks {
  fit::StepPeaks& here;
  fit::StepPeaks& on_cuda;
};

PlannedRung planned_rung(const ReportRequest& request, const Peaks& peaks, const StepPlan& plan,
                         const fit::StepSettings& settings, const fit::Work& work) {
  PlannedRung rung{.name = fit::describe(settings, plan.bounds), .peak = peaks.here.peak(settings)};
  rung.fits = rung.peak <= request.plan.memory_limit;
  rung.fits_24_gb = peaks.on_cuda.peak(settings) + kAssumedCudaOverhead <= kTwentyFourGb;
  if (const auto& rates = request.plan.rates) {
    rung.tokens_per_second = work.counts.tokens / fit::seconds_of(work, settings, *rates);
  }
  return rung;
}

// The ladder from what is wanted to its top. The chosen setting, which may lie beside it, comes
// before the first rung that fits. peaks: of the model as it is loaded.
std::vector<PlannedRung> planned_rungs(const ReportRequest& request, const Peaks& peaks,
                                       const StepPlan& plan, const fit::Work& work) {
  std::vector<fit::StepSettings> ladder = {wanted_settings(request.plan)};
  while (const auto next = fit::next_rung(ladder.back(), plan.bounds)) ladder.push_back(*next);
  const fit::StepSettings& chosen = plan.choice.settings;
  if (plan.choice.fits && std::ranges::find(ladder, chosen) == ladder.end()) {
    ladder.insert(std::ranges::find_if(ladder,
                                       [&](const fit::StepSettings& settings) {
                                         return peaks.here.peak(settings) <=
                                                request.plan.memory_limit;
                                       }),
                  chosen);
  }
  std::vector<PlannedRung> rungs;
  for (const fit::StepSettings& settings : ladder) {
    rungs.push_back(planned_rung(request, peaks, plan, settings, work));
    rungs.back().is_chosen = plan.choice.fits && settings == chosen;
  }
  return rungs;
}

// on_gpu: for a GPU of no particular memory.
PlannedGpu planned_gpu(const fit::Gpu& gpu, PlanRequest on_gpu, fit::StepPeaks& peaks,
                       const RunLoad& load) {
  on_gpu.memory_limit = tensor_limit_on(gpu, on_gpu.config);
  on_gpu.rates = rates_on(gpu, peaks.shape().model.compute);
  const StepPlan plan = plan_step(on_gpu, peaks, load);
  PlannedGpu planned{
      .name = gpu.name,
      .limit = on_gpu.memory_limit,
      .fits = plan.choice.fits && choose_evaluation(evaluation_request(on_gpu, plan)).fits,
      .rung = fit::describe(plan.choice.settings, plan.bounds),
      .peak = plan.choice.peak};
  if (!on_gpu.rates) return planned;
  const fit::Work work = work_of(load, on_gpu, plan.model);
  planned.hours = fit::seconds_of(work, plan.choice.settings, *on_gpu.rates) / 3600.0;
  planned.cost = *planned.hours * gpu.price_per_hour;
  return planned;
}

// Peaks depend on the chip only where sums have a fixed order: all are planned with
// FlashAttention-2 here, and cuDNN's attention takes no more.
std::vector<PlannedGpu> planned_gpus(const ReportRequest& request, const RunLoad& load) {
  std::vector<PlannedGpu> planned;
  PlanRequest on_gpu = request.plan;
  on_gpu.device = c10::kCUDA;
  on_gpu.host_limit = 0;
  std::optional<fit::StepPeaks> peaks;
  for (const fit::Gpu& gpu : request.gpus) {
    on_gpu.num_multiprocessors = gpu.num_multiprocessors;
    if (!peaks || on_gpu.config.deterministic) peaks.emplace(step_shape(on_gpu));
    planned.push_back(planned_gpu(gpu, on_gpu, *peaks, load));
  }
  return planned;
}

void add_phases(const ReportRequest& request, const fit::StepShape& shape, const StepPlan& plan,
                PlanReport& report) {
  const fit::StepShape chosen = fit::with_settings(shape, plan.choice.settings);
  report.components = memory::by_name(fit::step_memory(chosen).at_peak);
  const int64_t resident = fit::resident_peak(chosen);
  report.phases = {
      {"load", resident}, {"train", plan.choice.peak}, {"save", resident}, {"resume", resident}};
  report.host_peak = plan.choice.host_peak;
  const EvaluationRequest wanted = evaluation_request(request.plan, plan);
  const EvaluationPlan evaluation = choose_evaluation(wanted);
  if (evaluation.peak > 0) report.phases["eval"] = evaluation.peak;
  for (const auto& [phase, bytes] : report.phases) report.peak = std::max(report.peak, bytes);
  const bool fits_beside = fits_on_host(request.plan, plan.choice);
  report.fits = plan.choice.fits && fits_beside && evaluation.fits;
  if (!plan.choice.fits) {
    report.advice = "does not fit; " + memory_advice(request.plan);
  } else if (!fits_beside) {
    report.advice = host_misfit(request.plan, plan.choice).what();
  } else if (!evaluation.fits) {
    report.advice = evaluation_misfit(wanted, evaluation).what();
  }
}

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

std::string bar(int64_t bytes, int64_t whole) {
  const auto filled = static_cast<size_t>(
      std::clamp<int64_t>(whole > 0 ? bytes * kBarWidth / whole : 0, bytes > 0 ? 1 : 0, kBarWidth));
  return std::string(filled, '#') + std::string(static_cast<size_t>(kBarWidth) - filled, '.');
}

// Settings of a small model may differ by less than a tenth of a GiB.
std::string fine_bytes(int64_t bytes) {
  constexpr int64_t kGiB = int64_t{1} << 30;
  if (bytes < kGiB || bytes >= 10 * kGiB) return format_bytes(bytes);
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
}

std::string duration(double seconds) {
  if (seconds < 90) return fmt::format("{:.2g} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

void write_memory(const PlanReport& report, std::back_insert_iterator<std::string> out) {
  fmt::format_to(out, "memory, of {} for tensors\n", format_bytes(report.limit));
  for (const char* phase : {"load", "train", "eval", "save", "resume"}) {
    const auto found = report.phases.find(phase);
    if (found == report.phases.end()) continue;
    fmt::format_to(out, "  {:<14}{:>12}  {}\n", phase, fine_bytes(found->second),
                   bar(found->second, report.limit));
  }
  fmt::format_to(out, "\nat the peak of a training step\n");
  std::vector<std::pair<int64_t, std::string>> parts;
  int64_t whole = 0;
  for (const auto& [name, bytes] : report.components) {
    parts.emplace_back(bytes, name);
    whole += bytes;
  }
  std::ranges::sort(parts, std::ranges::greater{});
  for (const auto& [bytes, name] : parts) {
    fmt::format_to(out, "  {:<14}{:>12}  {}\n", name, fine_bytes(bytes), bar(bytes, whole));
  }
  if (report.host_peak > 0) {
    fmt::format_to(out, "and in host memory {}\n", format_bytes(report.host_peak));
  }
  if (report.attention) fmt::format_to(out, "\n{}\n", *report.attention);
}

void write_rungs(const PlanReport& report, std::back_insert_iterator<std::string> out) {
  const bool has_rate = report.rungs.front().tokens_per_second.has_value();
  fmt::format_to(
      out,
      "\nladder: all rungs compute the same, some add up in another order; taken is what "
      "fits in the least time\n");
  fmt::format_to(out, "  {:>2}{:>12}{:>7}{:>8}{}  {}\n", "", "peak", "fits", "24 GB",
                 has_rate ? fmt::format("{:>10}{:>10}", "tok/s", "run") : "", "with");
  for (const PlannedRung& rung : report.rungs) {
    std::string times;
    if (rung.tokens_per_second) {
      times = fmt::format("{:>10.0f}{:>10}", *rung.tokens_per_second,
                          duration(report.tokens / *rung.tokens_per_second));
    }
    fmt::format_to(out, "  {:>2}{:>12}{:>7}{:>8}{}  {}\n", rung.is_chosen ? "->" : "",
                   fine_bytes(rung.peak), rung.fits ? "yes" : "no", rung.fits_24_gb ? "yes" : "no",
                   times, rung.name);
  }
}

void write_gpus(const PlanReport& report, std::back_insert_iterator<std::string> out) {
  // The one with the least of a figure; among equals, of the other one.
  const auto best = [&](std::optional<double> PlannedGpu::*field,
                        std::optional<double> PlannedGpu::*other) {
    const PlannedGpu* least = nullptr;
    for (const PlannedGpu& gpu : report.gpus) {
      if (!gpu.fits || !(gpu.*field)) continue;
      if (least == nullptr ||
          std::pair(gpu.*field, gpu.*other) < std::pair(least->*field, least->*other)) {
        least = &gpu;
      }
    }
    return least;
  };
  const PlannedGpu* fastest = best(&PlannedGpu::hours, &PlannedGpu::cost);
  const PlannedGpu* cheapest = best(&PlannedGpu::cost, &PlannedGpu::hours);
  fmt::format_to(out, "\n  {:<12}{:>7}{:>12}{:>12}{:>10}{:>10}  {}\n", "GPU", "fits", "peak", "of",
                 "time", "cost", "with");
  for (const PlannedGpu& gpu : report.gpus) {
    std::string marks;
    const bool has_time = gpu.fits && gpu.hours && gpu.cost;
    if (&gpu == cheapest) marks += "  <- cheapest";
    if (&gpu == fastest) marks += "  <- fastest";
    fmt::format_to(out, "  {:<12}{:>7}{:>12}{:>12}{:>10}{:>10}  {}{}\n", gpu.name,
                   gpu.fits ? "yes" : "no", fine_bytes(gpu.peak), format_bytes(gpu.limit),
                   has_time ? duration(*gpu.hours * 3600) : "-",
                   has_time ? fmt::format("{:.2g}", *gpu.cost) : "-", gpu.rung, marks);
  }
  const bool has_times =
      std::ranges::any_of(report.gpus, [](const PlannedGpu& gpu) { return gpu.hours.has_value(); });
  if (has_times) {
    fmt::format_to(
        out,
        "  Times: a roofline, nothing measured ({:.0f} % of the rated products, weights at "
        "the memory's speed, as fast as a host launches).\n",
        100 * kAssumedShare);
  } else {
    fmt::format_to(out, "  Times: none; the table has no rate of products in fp32.\n");
  }
  fmt::format_to(out,
                 "  Prices: the table of GPUs. On each, {} are taken to be the CUDA context's.\n",
                 format_bytes(kAssumedCudaOverhead));
}

}  // namespace

std::optional<fit::DeviceRates> rates_on(const fit::Gpu& gpu, c10::ScalarType compute) {
  if (compute == c10::kFloat) return std::nullopt;
  return fit::DeviceRates{.flops_per_second = gpu.flops_per_second * kAssumedShare,
                          .memory_bandwidth = gpu.memory_bandwidth,
                          .transfer_bandwidth = gpu.transfer_bandwidth,
                          .launch_seconds = fit::assumed_rates(c10::kCUDA).launch_seconds};
}

PlanReport make_plan_report(const ReportRequest& request) {
  const RunLoad load = load_of(request.plan);
  fit::StepPeaks wanted(step_shape(request.plan));
  const StepPlan plan = plan_step(request.plan, wanted, load);
  fit::StepPeaks& here = wanted.streaming(plan.model.num_streamed);  // as it is loaded
  fit::StepShape standing_for_cuda = here.shape();
  standing_for_cuda.model.stands_for = c10::kCUDA;
  if (request.plan.config.deterministic) {
    standing_for_cuda.model.deterministic_multiprocessors = kTwentyFourGbMultiprocessors;
  }
  fit::StepPeaks on_cuda(std::move(standing_for_cuda));
  const bool is_cuda = request.plan.device == c10::kCUDA;
  PlanReport report{.device = request.device,
                    .data = request.data,
                    .limit = request.plan.memory_limit,
                    .total_steps = load.steps,
                    .tokens = load.counts.tokens,
                    .times = request.times};
  report.attention = attention_note(plan.model);
  add_phases(request, here.shape(), plan, report);
  report.rungs = planned_rungs(request, {here, is_cuda ? here : on_cuda}, plan,
                               work_of(load, request.plan, plan.model));
  report.gpus = planned_gpus(request, load);
  return report;
}

Json plan_json(const PlanReport& report) {
  Json rungs = Json::array();
  for (const PlannedRung& rung : report.rungs) {
    rungs.push_back({{"name", rung.name},
                     {"peak", rung.peak},
                     {"tokens_per_second", or_null(rung.tokens_per_second)},
                     {"same_numbers", true},
                     {"chosen", rung.is_chosen},
                     {"fits", rung.fits},
                     {"fits_24_gb", rung.fits_24_gb}});
  }
  Json gpus = Json::array();
  for (const PlannedGpu& gpu : report.gpus) {
    gpus.push_back({{"name", gpu.name},
                    {"fits", gpu.fits},
                    {"limit", gpu.limit},
                    {"hours", or_null(gpu.hours)},
                    {"cost", or_null(gpu.cost)},
                    {"peak", gpu.peak},
                    {"rung", gpu.rung}});
  }
  Json phases = Json::object();
  for (const char* phase : {"load", "train", "eval", "save", "resume"}) {
    const auto found = report.phases.find(phase);
    phases[phase] = found == report.phases.end() ? Json() : Json(found->second);
  }
  return {{"fits", report.fits},
          {"advice", report.advice.empty() ? Json() : Json(report.advice)},
          {"limit", report.limit},
          {"peak", report.peak},
          {"phases", phases},
          {"components", report.components},
          {"host_peak", report.host_peak},
          {"rungs", rungs},
          {"gpus", gpus},
          {"data", data::counts_json(report.data)},
          {"steps", report.total_steps},
          {"tokens", report.tokens},
          {"times", report.times}};
}

std::string plan_text(const PlanReport& report) {
  std::string text = fmt::format("device    {}\n", report.device) + data::data_lines(report.data);
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "run       {}, {}\ntimes     {}\n\n",
                 format_counted(report.total_steps, "step"),
                 format_counted(static_cast<int64_t>(report.tokens), "token"), report.times);
  write_memory(report, out);
  write_rungs(report, out);
  if (!report.fits) fmt::format_to(out, "\n{}\n", report.advice);
  if (!report.gpus.empty()) write_gpus(report, out);
  return text;
}

}  // namespace rung::training
