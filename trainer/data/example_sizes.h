// How long examples are and how much is learnt of them: all that planning needs of the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset_report.h"
#include "data/example.h"

namespace rung::data {

struct ExampleSize {
  int32_t num_tokens = 0;
  int32_t num_supervised = 0;  // Example::num_supervised

  bool operator==(const ExampleSize&) const = default;
};

std::vector<ExampleSize> sizes_of(std::span<const Example> examples);

// Of a run's data (RunData, data/dataset.h).
struct RunSizes {
  std::vector<ExampleSize> train;
  std::vector<ExampleSize> validation;
  DatasetReport report;  // of the training data

  bool operator==(const RunSizes&) const = default;
};

// The sizes of examples, whether these are there themselves or only counted. A view, and so made
// implicitly: what it is made of must outlive it.
class ExampleSizes {
 public:
  ExampleSizes() = default;
  ExampleSizes(std::span<const Example> examples) : examples_(examples) {}      // NOLINT
  ExampleSizes(const std::vector<Example>& examples) : examples_(examples) {}   // NOLINT
  ExampleSizes(const std::vector<ExampleSize>& counted) : counted_(counted) {}  // NOLINT

  size_t size() const { return examples_.size() + counted_.size(); }
  bool empty() const { return size() == 0; }
  int64_t num_tokens(size_t i) const {
    return counted_.empty() ? examples_[i].num_tokens() : counted_[i].num_tokens;
  }
  int64_t num_supervised(size_t i) const {
    return counted_.empty() ? examples_[i].num_supervised() : counted_[i].num_supervised;
  }
  // num_tokens of each.
  std::vector<int64_t> lengths() const;
  int64_t longest() const;  // num_tokens; 0 without examples

 private:
  // At most one has elements.
  std::span<const Example> examples_;
  std::span<const ExampleSize> counted_;
};

}  // namespace rung::data
