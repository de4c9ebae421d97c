#include "monitor/run_history.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "monitor/metrics_reader.h"
#include "monitor/row_fields.h"

namespace rung::monitor {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostConfigBytes = size_t{64} << 10;
constexpr size_t kMostRungChanges = 10000;

// A chunk at a time: a record of a million steps has a gigabyte.
RunHistory read_metrics(const fs::path& path) {
  std::ifstream input(path, std::ios::binary);
  MetricsReader reader(path);
  std::array<char, size_t{64} << 10> chunk;
  while (input.read(chunk.data(), chunk.size()) || input.gcount() > 0) {
    reader.add({chunk.data(), static_cast<size_t>(input.gcount())});
  }
  return reader.take();
}

std::vector<RungChange> rung_changes_of(const Json* array) {
  std::vector<RungChange> changes;
  if (!array || !array->is_array()) return changes;
  for (const Json& element : *array) {
    if (changes.size() == kMostRungChanges) break;
    if (!element.is_object()) continue;
    const RowFields fields(element);
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
  const RowFields memory(*object);
  memory.read("limit", outcome.memory_limit);
  memory.read("planned_peak", outcome.memory_planned);
  memory.read("planned_by_phase", outcome.memory_planned_by_phase);
  memory.read("measured_peak", outcome.memory_measured);
  memory.read("by_phase", outcome.memory_by_phase);
}

}  // namespace

bool OutOfMemory::is_of_trial() const { return during.starts_with("the largest micro-batch"); }

bool OutOfMemory::is_of_steps() const {
  if (!settings.empty()) return settings == "train";
  return during.starts_with("step ") || is_of_trial();  // rows of other versions
}

double last_row_time(const RunHistory& history) {
  const double start = history.starts.empty() ? 0.0 : history.starts.back().time;
  return history.steps.empty() ? start : std::max(start, history.steps.back().time);
}

Outcome read_outcome(const fs::path& path) {
  const Json json = read_json_file(path);
  Outcome outcome;
  if (!json.is_object()) return outcome;
  const RowFields record(json);
  record.read("exit_code", outcome.exit_code);
  record.read("exit_reason", outcome.exit_reason);
  record.read("steps", outcome.steps);
  record.read("skipped_steps", outcome.skipped_steps);
  record.read("tokens", outcome.tokens);
  record.read("seconds", outcome.seconds);
  outcome.rung_changes = rung_changes_of(record.find("rung_changes"));
  read_memory(record.find("memory"), outcome);
  record.read("versions", outcome.versions);
  record.read("config", outcome.config, kMostConfigBytes);
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
  if (has_metrics) history = read_metrics(metrics);
  if (has_record) history.outcome = read_outcome(record);
  return history;
}

}  // namespace rung::monitor
