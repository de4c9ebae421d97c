// Cross-entropy of one row of logits and its gradient, in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace rung::reference {

struct CrossEntropyResult {
  double loss = 0.0;
  std::vector<double> gradient;
};

inline CrossEntropyResult cross_entropy(const std::vector<double>& logits, size_t target,
                                        double grad_scale) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const double logit : logits) sum += std::exp(logit - max);
  CrossEntropyResult result;
  result.loss = max + std::log(sum) - logits[target];
  for (const double logit : logits) {
    result.gradient.push_back(grad_scale * std::exp(logit - max) / sum);
  }
  result.gradient[target] -= grad_scale;
  return result;
}

}  // namespace rung::reference
