#include "training/largest_batch.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "data/packing.h"

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

// Which lengths share a row is the same in every epoch (data/packing.h), which rows share a
// micro-batch is not. The longest documents of any `micro_batch_size` rows are, one by one, no
// longer than as many longest ones of all rows; and so are their second longest, and so on.
std::vector<int64_t> longest_packed(const RunConfig& config, const data::ExampleSizes& examples) {
  if (!config.sample_packing) return {};
  std::vector<int64_t> lengths = examples.lengths();
  for (int64_t& length : lengths) length = std::min(length, config.sequence_len);
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::vector<std::vector<int64_t>> by_rank;  // of each row the longest, the second longest, ...
  for (const data::Row& row : data::pack_rows(lengths, order, config.sequence_len)) {
    std::vector<int64_t> in_row;
    for (const int64_t i : row) in_row.push_back(lengths[static_cast<size_t>(i)]);
    std::ranges::sort(in_row, std::ranges::greater{});
    if (by_rank.size() < in_row.size()) by_rank.resize(in_row.size());
    for (size_t rank = 0; rank < in_row.size(); ++rank) by_rank[rank].push_back(in_row[rank]);
  }
  std::vector<int64_t> longest;
  for (std::vector<int64_t>& of_rank : by_rank) {
    const size_t count = std::min(of_rank.size(), static_cast<size_t>(config.micro_batch_size));
    const auto end = of_rank.begin() + static_cast<ptrdiff_t>(count);
    std::ranges::partial_sort(of_rank, end, std::ranges::greater{});
    longest.insert(longest.end(), of_rank.begin(), end);
  }
  std::ranges::sort(longest, std::ranges::greater{});
  return longest;
}

data::MicroBatch largest_evaluation_batch(const data::ExampleSizes& examples, int64_t batch_size) {
  return longest_examples(examples, batch_size);
}

}  // namespace rung::training
