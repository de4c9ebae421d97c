// What the model will see, for people and for programs: examples with their learnt part marked,
// and the counts of a data set.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/run_config.h"
#include "data/dataset.h"
#include "data/example.h"
#include "text/tokenizer.h"

namespace rung::data {

enum class Marks { kColours, kBrackets };  // ANSI colours, or ⟦ ⟧ around what is learnt

// The text of `example`, special tokens included, with what is learnt marked; control characters
// escaped, line breaks kept.
std::string mark_learnt(const Example& example, const text::Tokenizer& tokenizer, Marks marks);

// `example` in full: source and counts, the marked text, ids and labels (runs of -100 in short).
std::string show_example(const Example& example, const text::Tokenizer& tokenizer, Marks marks);

// {"row", "text", "input_ids", "labels"}; invalid UTF-8 never gets into "text".
Json row_json(int64_t row, const Example& example, const text::Tokenizer& tokenizer);

// Rows and steps of an epoch over the training part.
struct BatchReport {
  int64_t rows = 0;
  int64_t steps = 0;
  int64_t packed_rows = 0;     // with sample_packing, whether or not it is on
  double packed_filled = 0.0;  // tokens / (packed_rows * sequence_len)
};

BatchReport report_batches(const std::vector<Example>& examples, const RunConfig& run);

// Examples by length: count of those in (previous up_to, up_to] tokens.
struct LengthBin {
  int64_t up_to = 0;
  int64_t count = 0;
};

// At most 8 bins of equal width, a power of two.
std::vector<LengthBin> length_histogram(const std::vector<Example>& examples);

// All counts of a data set before the split: `read` has the dropped records too.
struct DataSummary {
  DatasetReport read;
  int64_t num_train = 0;
  int64_t num_validation = 0;
  std::vector<LengthBin> lengths;
  BatchReport batches;
};

Json summary_json(const DataSummary& summary, const RunConfig& run);
std::string show_summary(const DataSummary& summary, const RunConfig& run);

}  // namespace rung::data
