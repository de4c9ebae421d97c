#include "data/epoch_length.h"

#include <numeric>
#include <vector>

#include "data/packing.h"

namespace rung::data {

int64_t rows_in_epoch(const ExampleSizes& examples, const LoaderOptions& options) {
  if (!options.sample_packing) return static_cast<int64_t>(examples.size());
  // The order decides which documents share a row, not how many rows there are.
  std::vector<int64_t> order(examples.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  return static_cast<int64_t>(pack_rows(examples.lengths(), order, options.sequence_len).size());
}

int64_t steps_in_epoch(const ExampleSizes& examples, const LoaderOptions& options) {
  const int64_t rows_per_step = options.micro_batch_size * options.gradient_accumulation_steps;
  return (rows_in_epoch(examples, options) + rows_per_step - 1) / rows_per_step;
}

}  // namespace rung::data
