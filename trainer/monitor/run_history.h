// What a run has written about itself: metrics.jsonl and run.json, read while it runs or
// afterwards.
//
// The rows are those of docs/guide/run-folder.md. Kinds and keys that are not known are passed
// over; a key that is absent leaves the field as it is here, so that folders of other versions can
// be read. monitor/row_fields.h says which values are taken.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "monitor/by_component.h"

namespace rung::monitor {

inline constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

// A process that began to train.
struct Start {
  int64_t first_step = 0;  // steps done before
  int64_t total_steps = 0;
  double time = 0.0;  // seconds since 1970
  int64_t pid = 0;
  std::string host;
  std::string device;
  std::string pci_bus_id;  // of a GPU, else empty
  Bytes memory_limit = 0;
  Bytes memory_planned = 0;
  std::map<std::string, Bytes> memory_planned_by_phase;
  ByComponent memory_planned_by_component;  // at the peak of a training step
  std::string rung;                         // the setting, in words
};

struct ExampleSize {
  std::string source;  // "file:line"
  int64_t tokens = 0;
};

struct LargestMicroBatch {
  int64_t tokens = 0;
  int64_t documents = 0;
  int64_t longest = 0;  // tokens of its longest example
  // The longest, in falling order; of a step that is not the highest so far of its process and its
  // settings none: a million steps would have as many names.
  std::vector<ExampleSize> examples;
};

// An optimizer step; every figure is of this step.
struct Step {
  int64_t step = 0;  // from 1
  double epoch = 0.0;
  double loss = kNotANumber;
  double grad_norm = kNotANumber;
  double learning_rate = 0.0;
  double seconds = 0.0;
  double tokens_per_second = 0.0;
  int64_t tokens_total = 0;
  double elapsed_seconds = 0.0;
  double time = 0.0;  // seconds since 1970
  Bytes memory_peak = 0;
  ByComponent memory_at_peak;
  Bytes memory_live = 0;
  ByComponent memory_live_by_component;
  Bytes memory_reserved = 0;
  Bytes memory_other = 0;
  std::optional<Bytes> memory_neighbours;
  LargestMicroBatch largest_micro_batch;
  bool is_skipped = false;
};

struct Evaluation {
  int64_t step = 0;
  double loss = kNotANumber;
  double perplexity = kNotANumber;
  Bytes memory_peak = 0;
};

struct OutOfMemory {
  int64_t step = 0;  // done before
  std::string during;
  std::string reason;
  std::string from;
  std::string to;
  bool is_again = false;               // once more as it was
  std::string settings;                // whose from and to are: "train", "eval" or "save"
  std::optional<ExampleSize> longest;  // example of what failed
  size_t process = 0;                  // of RunHistory::starts, from 1; 0: the one of its step

  // In training, or in the trial of its largest micro-batch before the first step.
  bool is_of_steps() const;
  bool is_of_trial() const;
};

// A change of settings after memory ran out, as run.json lists it.
struct RungChange {
  int64_t step = 0;  // done before
  std::string from;
  std::string to;
  std::string reason;
};

// How the run ended, from run.json.
struct Outcome {
  int exit_code = 0;
  std::string exit_reason;
  int64_t steps = 0;
  int64_t skipped_steps = 0;
  int64_t tokens = 0;
  double seconds = 0.0;  // training, earlier processes of the run included
  std::vector<RungChange> rung_changes;
  Bytes memory_limit = 0;
  Bytes memory_planned = 0;   // the peak of all phases
  Bytes memory_measured = 0;  // likewise
  std::map<std::string, Bytes> memory_planned_by_phase;
  std::map<std::string, Bytes> memory_by_phase;
  std::map<std::string, std::string> versions;
  std::string config;  // resolved YAML
};

struct RunHistory {
  std::vector<Start> starts;
  std::vector<Step> steps;  // in order; a step that was taken again after a resume only once
  std::vector<Evaluation> evaluations;
  std::vector<OutOfMemory> out_of_memory;
  std::optional<Outcome> outcome;  // none while it runs, or where it was killed
};

// Reads what is there; a torn last line is not a row yet. Throws Error: kConfig where output_dir is
// no folder of a run (it has neither file), kDamaged where a complete line is no JSON object.
RunHistory read_run_history(const std::filesystem::path& output_dir);

// When the last row of a step or a start was written, in seconds since 1970; 0 where none says it.
double last_row_time(const RunHistory& history);

// run.json alone, for who reads metrics.jsonl as it grows (monitor/metrics_reader.h).
Outcome read_outcome(const std::filesystem::path& path);

}  // namespace rung::monitor
