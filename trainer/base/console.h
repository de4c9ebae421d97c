// Progress of a long run on standard error: one line that is redrawn in place on a terminal,
// plain lines elsewhere (a log file, a batch queue). Where the terminal is too narrow for the line,
// its least important parts are left out; none is cut.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include "base/error.h"  // escape_for_terminal
#include "base/status_line.h"
#include "base/units.h"

namespace rung {

// Whether the file descriptor (2 = standard error) is a terminal that understands "\r".
bool is_terminal(int descriptor);

// Columns and lines of the terminal behind `descriptor`; 80 and 24 where they are unknown.
int terminal_width(int descriptor);
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
};

struct ProgressState {
  int64_t step = 0;  // optimizer steps done
  double epoch = 0;
  double loss = 0;
  double tokens_per_second = 0;
  int64_t peak_memory = 0;     // bytes
  double elapsed_seconds = 0;  // since this process took its first step
};

class Progress {
 public:
  Progress(std::ostream& out, ProgressOptions options) : out_(out), options_(options), bar_(out) {}

  void update(const ProgressState& state);
  // Prints a line of its own, above the bar; control characters are escaped.
  void message(std::string_view text);
  // Leaves the last bar on screen and ends its line.
  void finish() { bar_.finish(); }

 private:
  std::ostream& out_;
  ProgressOptions options_;
  StatusLine bar_;
  double last_line_seconds_ = 0;
};

// The text of one state:
// "step 12/345  epoch 0.50  loss 1.2345  8,123 tok/s  peak 3.4 GiB  ETA 5 min 02 s".
std::string progress_text(const ProgressState& state, const ProgressOptions& options);

}  // namespace rung
