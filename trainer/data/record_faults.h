// What is wrong with the records of a data set, to be told at once: whoever has written one of them
// wrongly has mostly written others so, too.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/stopwatch.h"

namespace rung::data {

class RecordFaults {
 public:
  // `patience`: seconds behind the first fault in which others are looked for.
  explicit RecordFaults(double patience = 3.0) : patience_(patience) {}

  // Counts `fault` of a record, and keeps it where it is one of the first ten. Throws it where it
  // is no Error kConfig: then it is no fault of the data.
  void add(const std::exception_ptr& fault);
  // A file that is no longer understood ends there: likewise, but no record is counted.
  void end_file(const std::exception_ptr& fault);

  bool empty() const { return count_ == 0 && ended_.empty(); }
  // Ten faults were found, or the first one long ago: there is nothing to be had from reading on.
  bool are_enough() const;
  // Nothing behind "at FILE:LINE", or from "before FILE" on, was looked at. The first call counts.
  void stop(const std::string& where) {
    if (stopped_.empty()) stopped_ = where;
  }

  // Where one fault is all that was found, that; else all that were kept, a line each, how many
  // more there are, and where reading ended.
  void throw_if_any() const;

 private:
  std::string rest() const;

  double patience_;
  std::vector<ErrorParts> first_;
  std::vector<ErrorParts> ended_;
  std::string stopped_;
  int64_t count_ = 0;
  std::optional<Stopwatch> since_first_;
};

}  // namespace rung::data
