// What is said while something takes its time: nothing in the first moment, then one line that is
// redrawn on a terminal, or a line each ten seconds elsewhere.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "base/status_line.h"
#include "base/stopwatch.h"

namespace rung {

struct WaitingLineOptions {
  bool in_place = false;     // redraw one line: is_terminal(2)
  int width = 0;             // columns, for in_place; 0: the terminal's, asked at every line
  double quiet_seconds = 1;  // before the first line
  double line_seconds = 10;  // between two plain ones
  // Since the beginning.
  std::function<double()> clock = [watch = Stopwatch()] { return watch.seconds(); };
};

class WaitingLine {
 public:
  WaitingLine(std::ostream& out, WaitingLineOptions options);

  double seconds() const { return options_.clock(); }
  // Whether something is to be said now.
  bool is_due() const { return seconds() >= next_; }
  void show(const std::string& line);
  // The last line, where anything was said before.
  void finish(const std::string& line);

 private:
  void write(const std::string& line);

  std::ostream& out_;
  WaitingLineOptions options_;
  StatusLine line_;
  double next_;  // seconds
  bool has_spoken_ = false;
};

// ", 25 %, 18 s left": of what has taken so many seconds and is done to `share`.
std::string share_text(double share, double seconds);

// On standard error.
WaitingLineOptions waiting_line_options();

}  // namespace rung
