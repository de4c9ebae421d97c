// The figures that a report says in words and tables: sums and comparisons over a run's record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "monitor/run_history.h"

namespace rung::monitor {

struct PhaseMemory {
  std::string phase;
  std::optional<Bytes> planned;  // the largest of the run's processes
  std::optional<Bytes> measured;
};

// What a part of the stack is: of one component, or of all that are small.
struct ComponentMemory {
  std::string name;
  std::string css_class;         // of its colour
  std::optional<Bytes> planned;  // at the peak of the largest step
  Bytes measured = 0;            // at the highest peak of the run
};

struct RunEvent {
  enum class Kind { kRestart, kAgain, kRungChange };
  Kind kind = Kind::kRestart;
  int number = 0;    // from 1
  int64_t step = 0;  // done before
  std::string from;  // the settings, in words
  std::string to;
  std::string reason;
};

const char* word_of(RunEvent::Kind kind);

struct RunFigures {
  int64_t steps = 0;
  int64_t total_steps = 0;  // 0: unknown
  int64_t skipped_steps = 0;
  int64_t tokens = 0;
  double seconds = 0.0;  // of training
  double median_tokens_per_second = 0.0;
  Bytes memory_limit = 0;           // of the last process
  Bytes memory_planned = 0;         // the largest peak that a process of the run has planned
  Bytes memory_measured = 0;        // and the largest that was measured
  std::vector<PhaseMemory> phases;  // in the order of a run
  // From the bottom of the stack: what stays through a step first.
  std::vector<ComponentMemory> components;
  std::vector<RunEvent> events;            // in order of steps
  std::optional<size_t> highest_step_idx;  // into RunHistory::steps, of the highest peak
};

RunFigures figures_of(const RunHistory& history);

// The bytes of each of `figures.components` in `at_peak`; what belongs to none is in the last one.
std::vector<double> parts_of(const ByComponent& at_peak, const RunFigures& figures);

// The process that took a step, of several that may have taken it: the last. In rising order of
// first_step, without those whose steps were all taken again. What run.json says, where no process
// has left a row.
std::vector<Start> starts_in_force(const RunHistory& history);

}  // namespace rung::monitor
