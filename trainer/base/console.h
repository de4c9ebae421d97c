// Progress of a long run on standard error: one line that is redrawn in place on a terminal,
// plain lines elsewhere (a log file, a batch queue). Where the terminal is too narrow for the line,
// its least important parts are left out; none is cut.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"  // escape_for_terminal
#include "base/status_line.h"
#include "base/stopwatch.h"
#include "base/units.h"

namespace rung {

// Whether the file descriptor (2 = standard error) is a terminal that understands "\r".
bool is_terminal(int descriptor);

// Columns and lines of the terminal behind `descriptor`; 80 and 24 where they are unknown.
int terminal_width(int descriptor);
// Columns that a StatusLine on standard error may fill, on a terminal of `width` columns; 0: of as
// many as it has now.
size_t status_columns(int width);
int terminal_height(int descriptor);

// `text` as escape_for_terminal has it, and on one line: a name cannot forge the next one.
std::string one_line(std::string_view text);

struct ProgressOptions {
  int64_t total_steps = 0;
  int64_t first_step = 0;     // steps done before this process started (resume)
  int64_t logging_steps = 1;  // plain lines: one each logging_steps steps,
  double line_seconds = 60;   // and one when this long passed without any
  bool in_place = false;      // redraw one line: is_terminal(2)
  int width = 0;              // columns, for in_place; 0: the terminal's, asked at every line
  // Seconds since the beginning: when a line is due.
  std::function<double()> clock = [watch = Stopwatch()] { return watch.seconds(); };
};

struct ProgressState {
  int64_t step = 0;  // optimizer steps done
  double epoch = 0;
  double loss = 0;
  double tokens_per_second = 0;
  int64_t peak_memory = 0;     // bytes
  double elapsed_seconds = 0;  // of this process's steps
  double seconds_beside = 0;   // that are expected beside the steps still to come: evaluations
};

// An evaluation between two steps.
struct EvaluationState {
  int64_t done = 0;  // examples
  int64_t total = 0;
  double seconds_beside = 0;  // as above, of this evaluation only the rest
};

class Progress {
 public:
  Progress(std::ostream& out, ProgressOptions options) : out_(out), options_(options), bar_(out) {}

  void update(const ProgressState& state);
  // Until the next update(): "evaluating 12/40" on the line of the terminal. Elsewhere a line only
  // where none came for long.
  void evaluating(const EvaluationState& evaluation);
  // Prints a line of its own, above the bar; control characters are escaped.
  void message(std::string_view text);
  // Leaves the last bar on screen and ends its line.
  void finish() { bar_.finish(); }

 private:
  void draw(const std::string& activity);
  bool was_silent_for_long() const;
  void write_line(const std::string& line);

  std::ostream& out_;
  ProgressOptions options_;
  StatusLine bar_;
  std::optional<ProgressState> state_;  // the last one
  double drawn_seconds_ = 0;
  double last_line_seconds_ = 0;
};

// The text of one state:
// "step 12/345  epoch 0.50  loss 1.2345  8,123 tok/s  peak 3.4 GiB  ETA 5 min 02 s".
std::string progress_text(const ProgressState& state, const ProgressOptions& options);

}  // namespace rung
