#include "monitor/run_history.h"

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/json.h"

namespace rung::monitor {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxRowBytes = size_t{1} << 20;

// The values of one row, each left as it is where its key is absent or of another type: a reader of
// curves shows what can be read.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  void read(const char* name, int64_t& value) const {
    if (const Json* found = find(name); found && found->is_number_integer()) value = *found;
  }
  void read(const char* name, int& value) const {
    int64_t wide = value;
    read(name, wide);
    value = static_cast<int>(wide);
  }
  void read(const char* name, double& value) const {
    if (const Json* found = find(name); found && found->is_number()) value = *found;
  }
  void read(const char* name, bool& value) const {
    if (const Json* found = find(name); found && found->is_boolean()) value = *found;
  }
  void read(const char* name, std::string& value) const {
    if (const Json* found = find(name); found && found->is_string()) value = *found;
  }
  void read(const char* name, std::optional<int64_t>& value) const {
    if (const Json* found = find(name); found && found->is_number_integer()) value = *found;
  }
  void read(const char* name, std::map<std::string, int64_t>& values) const {
    const Json* found = find(name);
    if (!found || !found->is_object()) return;
    for (const auto& [key, value] : found->items()) {
      if (value.is_number_integer()) values[key] = value;
    }
  }
  void read(const char* name, std::map<std::string, std::string>& values) const {
    const Json* found = find(name);
    if (!found || !found->is_object()) return;
    for (const auto& [key, value] : found->items()) {
      if (value.is_string()) values[key] = value;
    }
  }
  // An object, or the elements of an array, under `name`.
  const Json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

 private:
  const Json& object_;
};

Start start_of(const Fields& row) {
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

LargestMicroBatch largest_micro_batch_of(const Json* object) {
  LargestMicroBatch batch;
  if (!object || !object->is_object()) return batch;
  const Fields fields(*object);
  fields.read("tokens", batch.tokens);
  fields.read("documents", batch.documents);
  const Json* examples = fields.find("examples");
  if (!examples || !examples->is_array()) return batch;
  for (const Json& element : *examples) {
    if (!element.is_object()) continue;
    ExampleSize& example = batch.examples.emplace_back();
    Fields(element).read("source", example.source);
    Fields(element).read("tokens", example.tokens);
  }
  return batch;
}

void read_memory(const Fields& row, Step& step) {
  row.read("memory_peak", step.memory_peak);
  row.read("memory_at_peak", step.memory_at_peak);
  row.read("memory_live", step.memory_live);
  row.read("memory_live_by_component", step.memory_live_by_component);
  row.read("memory_reserved", step.memory_reserved);
  row.read("memory_other", step.memory_other);
  row.read("memory_neighbours", step.memory_neighbours);
}

Step step_of(const Fields& row) {
  Step step;
  row.read("step", step.step);
  row.read("epoch", step.epoch);
  row.read("loss", step.loss);
  row.read("grad_norm", step.grad_norm);
  row.read("learning_rate", step.learning_rate);
  row.read("tokens", step.tokens);
  row.read("supervised_tokens", step.supervised_tokens);
  row.read("seconds", step.seconds);
  row.read("tokens_per_second", step.tokens_per_second);
  row.read("tokens_total", step.tokens_total);
  row.read("elapsed_seconds", step.elapsed_seconds);
  row.read("time", step.time);
  read_memory(row, step);
  row.read("micro_batches", step.micro_batches);
  row.read("documents", step.documents);
  step.largest_micro_batch = largest_micro_batch_of(row.find("largest_micro_batch"));
  row.read("skipped", step.is_skipped);
  return step;
}

Evaluation evaluation_of(const Fields& row) {
  Evaluation evaluation;
  row.read("step", evaluation.step);
  row.read("loss", evaluation.loss);
  row.read("perplexity", evaluation.perplexity);
  row.read("seconds", evaluation.seconds);
  row.read("memory_peak", evaluation.memory_peak);
  return evaluation;
}

std::optional<ExampleSize> example_of(const Json* object) {
  if (!object || !object->is_object()) return std::nullopt;
  ExampleSize example;
  Fields(*object).read("source", example.source);
  Fields(*object).read("tokens", example.tokens);
  return example;
}

OutOfMemory out_of_memory_of(const Fields& row) {
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

// Steps that a killed process took behind its last checkpoint are written again by the next one.
void add_step(std::vector<Step>& steps, Step step) {
  while (!steps.empty() && steps.back().step >= step.step) steps.pop_back();
  steps.push_back(std::move(step));
}

void add_row(const Json& json, RunHistory& history) {
  const Fields row(json);
  std::string kind;
  row.read("kind", kind);
  if (kind == "start") {
    history.starts.push_back(start_of(row));
  } else if (kind == "train") {
    add_step(history.steps, step_of(row));
  } else if (kind == "eval") {
    history.evaluations.push_back(evaluation_of(row));
  } else if (kind == "out_of_memory") {
    history.out_of_memory.push_back(out_of_memory_of(row));
    history.out_of_memory.back().process = history.starts.size();
  }
}

void read_metrics(const fs::path& path, RunHistory& history) {
  std::ifstream input(path, std::ios::binary);
  std::string line;
  for (int64_t number = 1; std::getline(input, line); ++number) {
    if (input.eof()) break;  // no newline behind it: still being written
    add_metrics_line(line, path, number, history);
  }
}

std::vector<RungChange> rung_changes_of(const Json* array) {
  std::vector<RungChange> changes;
  if (!array || !array->is_array()) return changes;
  for (const Json& element : *array) {
    if (!element.is_object()) continue;
    const Fields fields(element);
    RungChange& change = changes.emplace_back();
    fields.read("step", change.step);
    fields.read("from", change.from);
    fields.read("to", change.to);
    fields.read("reason", change.reason);
  }
  return changes;
}

void read_memory(const Json* object, Outcome& outcome) {
  if (!object || !object->is_object()) return;
  const Fields memory(*object);
  memory.read("limit", outcome.memory_limit);
  memory.read("planned_peak", outcome.memory_planned);
  memory.read("planned_by_phase", outcome.memory_planned_by_phase);
  memory.read("measured_peak", outcome.memory_measured);
  memory.read("process_peak", outcome.process_peak);
  memory.read("by_phase", outcome.memory_by_phase);
}

}  // namespace

bool OutOfMemory::is_of_trial() const { return during.starts_with("the largest micro-batch"); }

bool OutOfMemory::is_of_steps() const {
  if (!settings.empty()) return settings == "train";
  return during.starts_with("step ") || is_of_trial();  // rows of other versions
}

void add_metrics_line(std::string_view line, const fs::path& path, int64_t number,
                      RunHistory& history) {
  const Json row =
      parse_json(line, path.string(), {.max_bytes = kMaxRowBytes, .first_line = number});
  if (!row.is_object()) {
    throw Error(ExitCode::kDamaged, {.what = "a line of the record is no JSON object",
                                     .where = path.string() + ":" + std::to_string(number)});
  }
  add_row(row, history);
}

Outcome read_outcome(const fs::path& path) {
  const Json json = read_json_file(path);
  Outcome outcome;
  if (!json.is_object()) return outcome;
  const Fields record(json);
  record.read("exit_code", outcome.exit_code);
  record.read("exit_reason", outcome.exit_reason);
  record.read("steps", outcome.steps);
  record.read("skipped_steps", outcome.skipped_steps);
  record.read("tokens", outcome.tokens);
  record.read("seconds", outcome.seconds);
  outcome.rung_changes = rung_changes_of(record.find("rung_changes"));
  read_memory(record.find("memory"), outcome);
  record.read("versions", outcome.versions);
  record.read("config", outcome.config);
  return outcome;
}

RunHistory read_run_history(const fs::path& output_dir) {
  const fs::path metrics = output_dir / "metrics.jsonl";
  const fs::path record = output_dir / "run.json";
  std::error_code error;
  const bool has_metrics = fs::is_regular_file(metrics, error);
  const bool has_record = fs::is_regular_file(record, error);
  if (!has_metrics && !has_record) {
    throw Error(ExitCode::kConfig, {.what = "there is no run in the folder",
                                    .expected = "an output_dir, with metrics.jsonl or run.json",
                                    .where = output_dir.string()});
  }
  RunHistory history;
  if (has_metrics) read_metrics(metrics, history);
  if (has_record) history.outcome = read_outcome(record);
  return history;
}

}  // namespace rung::monitor
