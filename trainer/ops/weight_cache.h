// The dequantised weights of one block, from its recomputation to the end of its backward pass:
// both read the same ones, so they are made once.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "ops/linear_group.h"

namespace rung::ops {

class WeightCache {
 public:
  // The stacked weight of `group`, or an undefined tensor.
  at::Tensor find(const LinearGroup& group) const {
    for (const auto& [owner, weight] : weights_) {
      if (owner == &group) return weight;
    }
    return {};
  }
  void keep(const LinearGroup& group, const at::Tensor& weight) {
    weights_.emplace_back(&group, weight);
  }

 private:
  std::vector<std::pair<const LinearGroup*, at::Tensor>> weights_;  // a block has four
};

}  // namespace rung::ops
