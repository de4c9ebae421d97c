// What became of the records of a data set.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace rung::data {

// read = kept + too_long + without_labels.
struct DatasetReport {
  int64_t read = 0;
  int64_t kept = 0;
  int64_t too_long = 0;        // dropped: more than sequence_len tokens
  int64_t without_labels = 0;  // dropped: nothing to learn (after truncation)
  int64_t truncated = 0;       // cut to sequence_len tokens; counted under kept or without_labels
  int64_t longest = 0;         // tokens of the longest record read, before any cut
  int64_t tokens = 0;          // of the kept examples
  int64_t supervised_tokens = 0;  // of the kept examples

  bool operator==(const DatasetReport&) const = default;
};

// What is kept, and on a second line what is not, where that is anything:
//
//   data      320 examples, 32,620 tokens, 10,987 of them learnt
//             2 too long and dropped, 0 truncated, 1 with nothing to learn
std::string data_lines(const DatasetReport& report);

// Every count under its name.
Json counts_json(const DatasetReport& report);

}  // namespace rung::data
