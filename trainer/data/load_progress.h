// How far the reading of a run's data has come: nothing where it takes no longer than a moment,
// then one line that is redrawn on a terminal, or a line each ten seconds elsewhere.
//
//   data      12,288 rows tokenised, 25 %, 18 s left
//   data      50,000 rows tokenised in 24.1 s
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "base/run_config.h"
#include "base/status_line.h"
#include "base/stopwatch.h"

namespace rung::data {

struct LoadProgressOptions {
  int64_t total_bytes = 0;   // of all files; 0: not known
  bool in_place = false;     // redraw one line: is_terminal(2)
  int width = 0;             // columns, for in_place; 0: the terminal's, asked at every line
  double quiet_seconds = 1;  // before the first line
  double line_seconds = 10;  // between two plain ones
  // Since the beginning.
  std::function<double()> clock = [watch = Stopwatch()] { return watch.seconds(); };
};

class LoadProgress {
 public:
  LoadProgress(std::ostream& out, LoadProgressOptions options);

  // So many records more, which take so many bytes of their file.
  void add(int64_t num_records, int64_t num_bytes);
  // All are there. Says how many and how long it took, where anything was said before.
  void finish();

 private:
  std::string text(double seconds) const;
  void show(const std::string& line);

  std::ostream& out_;
  LoadProgressOptions options_;
  StatusLine line_;
  int64_t num_records_ = 0;
  int64_t num_bytes_ = 0;
  double next_line_;  // seconds
  bool has_spoken_ = false;
};

// Bytes of the files of these data sets, as far as they are there.
int64_t bytes_of(const std::vector<DatasetConfig>& datasets);

// For a progress of so many bytes on standard error.
LoadProgressOptions load_progress_options(int64_t total_bytes);

}  // namespace rung::data
