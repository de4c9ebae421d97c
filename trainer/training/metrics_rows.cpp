#include "training/metrics_rows.h"

#include <unistd.h>

#include <algorithm>
#include <functional>

#include "base/this_machine.h"

namespace rung::training {
namespace {

constexpr size_t kMostNamed = 8;  // examples of a micro-batch

// With its documents, longest first.
Json largest_micro_batch(const data::StepBatch& batch, std::span<const data::Example> examples) {
  const auto largest =
      std::ranges::max_element(batch.micro_batches, {}, &data::MicroBatch::num_tokens);
  std::vector<int64_t> documents = largest->documents;
  std::ranges::stable_sort(documents, std::ranges::greater{}, [&](int64_t i) {
    return examples[static_cast<size_t>(i)].num_tokens();
  });
  documents.resize(std::min(documents.size(), kMostNamed));
  Json named = Json::array();
  for (const int64_t i : documents) {
    const data::Example& example = examples[static_cast<size_t>(i)];
    named.push_back({{"source", example.source}, {"tokens", example.num_tokens()}});
  }
  return {{"tokens", largest->num_tokens()},
          {"documents", largest->documents.size()},
          {"examples", std::move(named)}};
}

void add_memory(const memory::Device& device, Json& row) {
  const memory::Usage usage = device.counter().usage();
  row["memory_peak"] = usage.peak;
  row["memory_at_peak"] = memory::by_name(usage.at_peak);
  row["memory_live"] = usage.live;
  row["memory_live_by_component"] = memory::by_name(usage.live_by_component);
  row["memory_reserved"] = device.reserved();
  row["memory_other"] = device.other();
  row["memory_neighbours"] = device.neighbours();
}

}  // namespace

Json row_of(const StartRow& start) {
  const memory::Device& device = start.machine.device;
  return {{"kind", "start"},
          {"first_step", start.first_step},
          {"total_steps", start.plan.total_steps},
          {"time", seconds_since_1970()},
          {"pid", ::getpid()},
          {"host", host_name()},
          {"device", device.name()},
          {"pci_bus_id", device.pci_bus_id()},
          {"memory_limit", start.machine.limit},
          {"memory_planned", start.plan.planned_peak()},
          {"memory_planned_by_phase", start.plan.planned_by_phase()},
          {"memory_planned_by_component", start.plan.by_component},
          {"rung", fit::describe(start.settings, start.plan.bounds)}};
}

Json row_of(const StepRow& step) {
  const int64_t tokens = step.batch.num_tokens();
  Json row{{"kind", "train"},
           {"step", step.step},
           {"epoch", step.epoch},
           {"loss", step.result.loss},
           {"grad_norm", step.result.grad_norm},
           {"learning_rate", step.learning_rate},
           {"tokens", tokens},
           {"supervised_tokens", step.batch.num_supervised()},
           {"seconds", step.seconds},
           {"tokens_per_second", static_cast<double>(tokens) / step.seconds},
           {"tokens_total", step.tokens_total},
           {"elapsed_seconds", step.elapsed_seconds},
           {"time", seconds_since_1970()}};
  add_memory(step.device, row);
  row["micro_batches"] = step.batch.micro_batches.size();
  row["documents"] = step.batch.num_documents();
  row["largest_micro_batch"] = largest_micro_batch(step.batch, step.examples);
  if (step.loss_scale) row["loss_scale"] = *step.loss_scale;
  if (step.result.outcome == step::StepOutcome::kNotFinite) row["skipped"] = true;
  return row;
}

Json row_of(const Evaluation& evaluation, int64_t step, int64_t memory_peak) {
  return {{"kind", "eval"},
          {"step", step},
          {"loss", evaluation.loss},
          {"perplexity", evaluation.perplexity},
          {"tokens", evaluation.tokens},
          {"seconds", evaluation.seconds},
          {"memory_peak", memory_peak}};
}

Json row_of(const OutOfMemory& event, int64_t step) {
  Json row{{"kind", "out_of_memory"},
           {"step", step},
           {"during", event.what.during},
           {"settings", name_of(event.what.settings)},
           {"reason", event.reason},
           {"from", event.from},
           {"to", event.to},
           {"again", event.is_again}};
  if (const data::Example* longest = event.what.longest) {
    row["longest"] = {{"source", longest->source}, {"tokens", longest->num_tokens()}};
  }
  return row;
}

}  // namespace rung::training
