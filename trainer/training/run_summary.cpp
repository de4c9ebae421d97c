#include "training/run_summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <vector>

#include "base/error.h"
#include "base/units.h"

namespace rung::training {
namespace {

// What else the plan was told to do, a line; empty where that is nothing.
std::string more_settings(const RunPlan& plan) {
  std::vector<std::string> parts;
  fit::StepSettings told = plan.wanted;
  told.memory.num_recomputed = plan.settings.memory.num_recomputed;
  const std::string rungs = fit::describe_others(told, plan.bounds);
  if (!rungs.empty()) parts.push_back(rungs);
  if (plan.model.num_streamed > 0) {
    parts.push_back(
        fmt::format("{} streamed from the host", format_counted(plan.model.num_streamed, "block")));
  }
  if (plan.model.embedding_on_host) parts.push_back("embedding on the host");
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::string summary_text(const RunSummary& summary) {
  const RunConfig& config = summary.config;
  const RunPlan& plan = summary.plan;
  std::string text;
  const auto out = std::back_inserter(text);
  const Machine& machine = summary.machine;
  fmt::format_to(out, "device    {}\n",
                 machine.why_not_cuda.empty()
                     ? machine.device.name()
                     : fmt::format("{} ({})", machine.device.name(), machine.why_not_cuda));
  fmt::format_to(out, "model     {} ({}, {})\n", escape_for_terminal(config.base_model),
                 format_counted(summary.num_blocks, "block"),
                 config.load_in_4bit ? "NF4" : "dense");
  fmt::format_to(out, "adapter   LoRA r {} on {}, {}\n", config.lora_r,
                 format_counted(summary.num_adapted, "linear"),
                 format_counted(summary.num_parameters, "parameter"));
  text += data::data_lines(summary.data);
  fmt::format_to(out, "plan      {}, {} of {} recomputed, peak {} of {}\n",
                 format_counted(plan.total_steps, "step"), plan.settings.memory.num_recomputed,
                 format_counted(summary.num_blocks, "block"), format_bytes(plan.planned_peak()),
                 format_bytes(machine.tensor_limit()));
  const std::string more = more_settings(plan);
  if (!more.empty()) fmt::format_to(out, "          {}\n", more);
  const std::string changes = fit::describe_changes(plan.wanted, plan.settings, plan.bounds);
  if (!changes.empty()) {
    fmt::format_to(out, "fit       {}; otherwise {}\n", changes, format_bytes(plan.wanted_peak));
  }
  if (const auto note = plan.evaluation.note()) fmt::format_to(out, "          {}\n", *note);
  return text;
}

}  // namespace rung::training
