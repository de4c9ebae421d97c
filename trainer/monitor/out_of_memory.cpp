// Memory ran out: recovered from, or the end of the run.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "monitor/findings.h"

namespace rung::monitor {
namespace {

std::string recovered_text(const std::vector<OutOfMemory>& events) {
  const OutOfMemory& last = events.back();
  const int64_t changes = std::ranges::count(events, false, &OutOfMemory::is_again);
  std::string text =
      fmt::format("memory ran out {} and the run went on, last in {} ({})",
                  events.size() == 1 ? "once" : fmt::format("{} times", events.size()), last.during,
                  last.reason);
  if (changes == 0) return text + "; nothing had to change";
  const auto change =
      std::ranges::find(events.rbegin(), events.rend(), false, &OutOfMemory::is_again);
  return text + fmt::format("; since then with {}", change->to);
}

Finding recovered(const std::vector<OutOfMemory>& events) {
  Finding finding{
      .kind = Kind::kOutOfMemory, .harm = Harm::kSuffered, .step = events.back().step + 1};
  finding.evidence = recovered_text(events);
  // An evaluation holds a batch of its own, which may be larger than a step's.
  const bool in_evaluations = std::ranges::all_of(
      events, [](const OutOfMemory& event) { return event.settings == "eval"; });
  finding.advice = fmt::format(
      "the result is the same, only slower; to spare the failed attempts, start the next run with "
      "a "
      "lower {}, or a higher memory_limit where there is more",
      in_evaluations ? "eval_batch_size" : "micro_batch_size or sequence_len");
  return finding;
}

Finding ended(const RunHistory& history) {
  Finding finding{.kind = Kind::kOutOfMemory, .harm = Harm::kSuffered};
  if (history.steps.empty()) {
    finding.evidence = "the run does not fit and took no step: " + history.outcome->exit_reason;
  } else {
    finding.step = history.steps.back().step + 1;
    finding.evidence = fmt::format("memory ran out for good after step {}: {}",
                                   history.steps.back().step, history.outcome->exit_reason);
  }
  finding.advice =
      "`rung plan` with this configuration shows what each rung takes; then lower sequence_len or "
      "micro_batch_size, take adapter: qlora, raise memory_limit, or take a bigger GPU; --resume "
      "auto goes on from the last checkpoint";
  return finding;
}

}  // namespace

bool has_ended_for_memory(const RunHistory& history) {
  return history.outcome && history.outcome->exit_code == static_cast<int>(ExitCode::kDoesNotFit);
}

std::optional<Finding> find_out_of_memory(const RunHistory& history) {
  const bool has_ended = has_ended_for_memory(history);
  const std::vector<OutOfMemory>& events = history.out_of_memory;
  if (!has_ended && events.empty()) return std::nullopt;
  Finding finding = has_ended ? ended(history) : recovered(events);
  finding.figures = {{"recoveries", events.size()},
                     {"ended_the_run", has_ended},
                     {"step", finding.step > 0 ? Json(finding.step) : Json()}};
  return finding;
}

}  // namespace rung::monitor
