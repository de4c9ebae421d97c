// How far the reading of a run's data has come (base/waiting_line.h):
//
//   data      12,288 rows tokenised, 25 %, 18 s left
//   data      50,000 rows tokenised in 24.1 s
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "base/run_config.h"
#include "base/waiting_line.h"

namespace rung::data {

class LoadProgress {
 public:
  // total_bytes: of all files; 0: not known.
  LoadProgress(std::ostream& out, int64_t total_bytes,
               WaitingLineOptions options = waiting_line_options());

  // So many records more, which take so many bytes of their file.
  void add(int64_t num_records, int64_t num_bytes);
  // All are there. Says how many and how long it took, where anything was said before.
  void finish();

 private:
  std::string text() const;

  WaitingLine line_;
  int64_t total_bytes_;
  int64_t num_records_ = 0;
  int64_t num_bytes_ = 0;
};

// Bytes of the files of these data sets, as far as they are there.
int64_t bytes_of(const std::vector<DatasetConfig>& datasets);

}  // namespace rung::data
