#include "data/example_sizes.h"

#include <algorithm>

namespace rung::data {

std::vector<ExampleSize> sizes_of(std::span<const Example> examples) {
  std::vector<ExampleSize> sizes;
  sizes.reserve(examples.size());
  for (const Example& example : examples) {
    sizes.push_back({.num_tokens = static_cast<int32_t>(example.num_tokens()),
                     .num_supervised = static_cast<int32_t>(example.num_supervised())});
  }
  return sizes;
}

std::vector<int64_t> ExampleSizes::lengths() const {
  std::vector<int64_t> lengths(size());
  for (size_t i = 0; i < lengths.size(); ++i) lengths[i] = num_tokens(i);
  return lengths;
}

int64_t ExampleSizes::longest() const {
  int64_t longest = 0;
  for (size_t i = 0; i < size(); ++i) longest = std::max(longest, num_tokens(i));
  return longest;
}

}  // namespace rung::data
