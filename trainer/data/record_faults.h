// What is wrong with the records of a data set, to be told at once: whoever has written one of them
// wrongly has mostly written others so, too.
#pragma once

#include <cstdint>
#include <exception>
#include <vector>

#include "base/error.h"

namespace rung::data {

class RecordFaults {
 public:
  // Counts `fault`, and keeps it where it is one of the first ten. Throws it where it is no Error
  // kConfig: then it is no fault of a record.
  void add(const std::exception_ptr& fault);
  bool empty() const { return count_ == 0; }
  // Where there is one, that; else all that were kept, a line each, and how many more there are.
  void throw_if_any() const;

 private:
  std::vector<ErrorParts> first_;
  int64_t count_ = 0;
};

}  // namespace rung::data
