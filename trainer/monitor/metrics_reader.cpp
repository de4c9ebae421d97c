#include "monitor/metrics_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/metrics.h"
#include "monitor/row_fields.h"

namespace rung::monitor {
namespace {

constexpr size_t kMostExamples = 8;  // of a micro-batch
// Steps whose examples are kept: in a run of lengths in any order a new highest is seldom, but
// where memory grows each step is one.
constexpr size_t kMostNamed = 256;

Start start_of(const RowFields& row) {
  Start start;
  row.read("first_step", start.first_step);
  row.read("total_steps", start.total_steps);
  row.read("time", start.time);
  row.read("pid", start.pid);
  row.read("host", start.host);
  row.read("device", start.device);
  row.read("pci_bus_id", start.pci_bus_id);
  row.read("memory_limit", start.memory_limit);
  row.read("memory_planned", start.memory_planned);
  row.read("memory_planned_by_phase", start.memory_planned_by_phase);
  row.read("memory_planned_by_component", start.memory_planned_by_component);
  row.read("rung", start.rung);
  return start;
}

std::optional<ExampleSize> example_of(const Json* object) {
  if (!object || !object->is_object()) return std::nullopt;
  const RowFields fields(*object);
  ExampleSize example;
  fields.read("source", example.source);
  fields.read("tokens", example.tokens);
  return example;
}

LargestMicroBatch largest_micro_batch_of(const Json* object) {
  LargestMicroBatch batch;
  if (!object || !object->is_object()) return batch;
  const RowFields fields(*object);
  fields.read("tokens", batch.tokens);
  fields.read("documents", batch.documents);
  const Json* examples = fields.find("examples");
  if (!examples || !examples->is_array()) return batch;
  for (const Json& element : *examples) {
    if (batch.examples.size() == kMostExamples) break;
    std::optional<ExampleSize> example = example_of(&element);
    if (!example) continue;
    batch.longest = std::max(batch.longest, example->tokens);
    batch.examples.push_back(*std::move(example));
  }
  return batch;
}

void read_memory(const RowFields& row, Step& step) {
  row.read("memory_peak", step.memory_peak);
  row.read("memory_at_peak", step.memory_at_peak);
  row.read("memory_live", step.memory_live);
  row.read("memory_live_by_component", step.memory_live_by_component);
  row.read("memory_reserved", step.memory_reserved);
  row.read("memory_other", step.memory_other);
  row.read("memory_neighbours", step.memory_neighbours);
}

Step step_of(const RowFields& row) {
  Step step;
  row.read("step", step.step);
  row.read("epoch", step.epoch);
  row.read("loss", step.loss);
  row.read("grad_norm", step.grad_norm);
  row.read("learning_rate", step.learning_rate);
  row.read("seconds", step.seconds);
  row.read("tokens_per_second", step.tokens_per_second);
  row.read("tokens_total", step.tokens_total);
  row.read("elapsed_seconds", step.elapsed_seconds);
  row.read("time", step.time);
  read_memory(row, step);
  step.largest_micro_batch = largest_micro_batch_of(row.find("largest_micro_batch"));
  row.read("skipped", step.is_skipped);
  return step;
}

Evaluation evaluation_of(const RowFields& row) {
  Evaluation evaluation;
  row.read("step", evaluation.step);
  row.read("loss", evaluation.loss);
  row.read("perplexity", evaluation.perplexity);
  row.read("memory_peak", evaluation.memory_peak);
  return evaluation;
}

OutOfMemory out_of_memory_of(const RowFields& row) {
  OutOfMemory event;
  row.read("step", event.step);
  row.read("during", event.during);
  row.read("reason", event.reason);
  row.read("from", event.from);
  row.read("to", event.to);
  row.read("settings", event.settings);
  row.read("again", event.is_again);
  event.longest = example_of(row.find("longest"));
  return event;
}

}  // namespace

void MetricsReader::add(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    if (torn_.size() + end > kMaxMetricsRowBytes) {
      throw Error(ExitCode::kDamaged,
                  {.what = "a line of the record is too long",
                   .expected = "at most 1 MiB",
                   .where = path_.string() + ":" + std::to_string(num_lines_ + 1)});
    }
    torn_ += bytes.substr(0, end);
    if (end == bytes.size()) return;
    ++num_lines_;
    add_line(torn_);
    torn_.clear();
    bytes.remove_prefix(end + 1);
  }
}

void MetricsReader::add_line(std::string_view line) {
  const Json row = parse_json(line, path_.string(),
                              {.max_bytes = kMaxMetricsRowBytes, .first_line = num_lines_});
  if (!row.is_object()) {
    throw Error(ExitCode::kDamaged, {.what = "a line of the record is no JSON object",
                                     .where = path_.string() + ":" + std::to_string(num_lines_)});
  }
  const RowFields fields(row);
  std::string kind;
  fields.read("kind", kind);
  if (kind == "start") {
    history_.starts.push_back(start_of(fields));
    highest_ = {};
  } else if (kind == "train") {
    add_step(step_of(fields));
  } else if (kind == "eval") {
    history_.evaluations.push_back(evaluation_of(fields));
  } else if (kind == "out_of_memory") {
    history_.out_of_memory.push_back(out_of_memory_of(fields));
    history_.out_of_memory.back().process = history_.starts.size();
    highest_ = {};
  }
}

void MetricsReader::add_step(Step step) {
  if (step.step < 1) return;
  // Steps that a killed process took behind its last checkpoint are written again by the next one.
  std::vector<Step>& steps = history_.steps;
  while (!steps.empty() && steps.back().step >= step.step) steps.pop_back();
  while (!named_.empty() && named_.back() >= step.step) named_.pop_back();
  if (!steps.empty()) {
    step.memory_at_peak.share_names_of(steps.back().memory_at_peak);
    step.memory_live_by_component.share_names_of(steps.back().memory_live_by_component);
  }
  keep_names(step);
  steps.push_back(std::move(step));
}

void MetricsReader::keep_names(Step& step) {
  const Bytes own = step.memory_peak - step.memory_live;
  if (highest_ && step.memory_peak <= highest_->peak && own <= highest_->own) {
    std::vector<ExampleSize>().swap(step.largest_micro_batch.examples);
    return;
  }
  highest_ = highest_
                 ? Highest{std::max(highest_->peak, step.memory_peak), std::max(highest_->own, own)}
                 : Highest{step.memory_peak, own};
  named_.push_back(step.step);
  if (named_.size() <= kMostNamed) return;
  const auto oldest = std::ranges::lower_bound(history_.steps, named_.front(), {}, &Step::step);
  std::vector<ExampleSize>().swap(oldest->largest_micro_batch.examples);
  named_.pop_front();
}

}  // namespace rung::monitor
