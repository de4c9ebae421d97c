#include "training/largest_batch.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

namespace rung::training {
namespace {

// `documents` laid end to end, every token learnt.
data::MicroBatch all_learnt(std::vector<data::Example> documents) {
  for (data::Example& document : documents) document.labels = document.input_ids;
  std::vector<int64_t> all(documents.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  return data::make_micro_batch(documents, all);
}

data::MicroBatch longest_examples(std::span<const data::Example> examples, int64_t count) {
  std::vector<int64_t> order(examples.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](int64_t i) {
    return examples[static_cast<size_t>(i)].num_tokens();
  });
  order.resize(std::min(order.size(), static_cast<size_t>(count)));
  std::vector<data::Example> longest;
  for (const int64_t i : order) longest.push_back(examples[static_cast<size_t>(i)]);
  return all_learnt(std::move(longest));
}

// Rows of one document each, full to the last token: no packing makes a larger micro-batch. Rows
// that the data cannot fill are left out.
data::MicroBatch full_rows(const RunConfig& config, std::span<const data::Example> examples) {
  int64_t tokens_left = 0;
  for (const data::Example& example : examples) tokens_left += example.num_tokens();
  std::vector<data::Example> rows;
  for (int64_t i = 0; i < config.micro_batch_size && tokens_left > 0; ++i) {
    const int64_t length = std::min(config.sequence_len, tokens_left);
    rows.emplace_back().input_ids.assign(static_cast<size_t>(length), 0);
    tokens_left -= length;
  }
  return all_learnt(std::move(rows));
}

}  // namespace

data::StepBatch largest_step(const RunConfig& config, std::span<const data::Example> examples) {
  return {.micro_batches = {config.sample_packing
                                ? full_rows(config, examples)
                                : longest_examples(examples, config.micro_batch_size)}};
}

data::MicroBatch largest_evaluation_batch(std::span<const data::Example> examples,
                                          int64_t batch_size) {
  return longest_examples(examples, batch_size);
}

}  // namespace rung::training
