#include "training/largest_batch.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

namespace rung::training {
namespace {

// Documents of these lengths laid end to end, every token learnt.
data::MicroBatch documents_of(const std::vector<int64_t>& lengths) {
  std::vector<data::Example> documents;
  for (const int64_t length : lengths) {
    data::Example& document = documents.emplace_back();
    document.input_ids.assign(static_cast<size_t>(length), 0);
    document.labels = document.input_ids;
  }
  std::vector<int64_t> all(documents.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  return data::make_micro_batch(documents, all);
}

data::MicroBatch longest_examples(const data::ExampleSizes& examples, int64_t count) {
  std::vector<int64_t> lengths = examples.lengths();
  const size_t num_longest = std::min(lengths.size(), static_cast<size_t>(count));
  std::ranges::partial_sort(lengths, lengths.begin() + static_cast<ptrdiff_t>(num_longest),
                            std::ranges::greater{});
  lengths.resize(num_longest);
  return documents_of(lengths);
}

// Rows of one document each, full to the last token: no packing makes a larger micro-batch. Rows
// that the data cannot fill are left out.
data::MicroBatch full_rows(const RunConfig& config, const data::ExampleSizes& examples) {
  int64_t tokens_left = 0;
  for (const int64_t length : examples.lengths()) tokens_left += length;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < config.micro_batch_size && tokens_left > 0; ++i) {
    rows.push_back(std::min(config.sequence_len, tokens_left));
    tokens_left -= rows.back();
  }
  return documents_of(rows);
}

}  // namespace

data::StepBatch largest_step(const RunConfig& config, const data::ExampleSizes& examples) {
  return {.micro_batches = {config.sample_packing
                                ? full_rows(config, examples)
                                : longest_examples(examples, config.micro_batch_size)}};
}

data::MicroBatch largest_evaluation_batch(const data::ExampleSizes& examples, int64_t batch_size) {
  return longest_examples(examples, batch_size);
}

}  // namespace rung::training
