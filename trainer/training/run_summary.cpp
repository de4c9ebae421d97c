#include "training/run_summary.h"

#include <fmt/format.h>

#include <iterator>

#include "base/error.h"
#include "base/units.h"

namespace rung::training {

std::string summary_text(const RunSummary& summary) {
  const RunConfig& config = summary.config;
  const data::DatasetReport& data = summary.data;
  const RunPlan& plan = summary.plan;
  std::string text;
  const auto out = std::back_inserter(text);
  const Machine& machine = summary.machine;
  fmt::format_to(out, "device    {}\n",
                 machine.why_not_cuda.empty()
                     ? machine.device.name()
                     : fmt::format("{} ({})", machine.device.name(), machine.why_not_cuda));
  fmt::format_to(out, "model     {} ({} blocks, {})\n", escape_for_terminal(config.base_model),
                 summary.num_blocks, config.load_in_4bit ? "NF4" : "dense");
  fmt::format_to(out, "adapter   LoRA r {} on {} linears, {} parameters\n", config.lora_r,
                 summary.num_adapted, format_count(summary.num_parameters));
  fmt::format_to(out, "data      {} examples, {} tokens, {} of them learnt\n",
                 format_count(data.kept), format_count(data.tokens),
                 format_count(data.supervised_tokens));
  if (data.too_long + data.truncated + data.without_labels > 0) {
    fmt::format_to(out,
                   "          {} too long and dropped, {} truncated, {} with nothing to learn\n",
                   data.too_long, data.truncated, data.without_labels);
  }
  fmt::format_to(out, "plan      {} steps, {} of {} blocks recomputed, peak {} of {}\n",
                 plan.total_steps, plan.num_recomputed, summary.num_blocks,
                 format_bytes(plan.planned_peak()), format_bytes(machine.tensor_limit()));
  if (const auto note = plan.evaluation.note()) fmt::format_to(out, "          {}\n", *note);
  return text;
}

}  // namespace rung::training
