// AdamW over the adapter's flat buffer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace rung::step {

struct OptimizerOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
};

// Its complete state: the two moments and the number of updates made.
class Optimizer {
 public:
  // Moments as large as `parameters` (fp32, flat), zero.
  Optimizer(const at::Tensor& parameters, const OptimizerOptions& options);

  // One update in place. The gradient is multiplied by grad_scale first (clipping). Allocates
  // nothing. Formula: torch.optim.AdamW (https://arxiv.org/abs/1711.05101).
  void update(const at::Tensor& gradients, double learning_rate, double grad_scale);

  int64_t num_updates() const { return num_updates_; }
  void set_num_updates(int64_t updates) { num_updates_ = updates; }
  const at::Tensor& first_moment() const { return first_moment_; }    // [n] fp32
  const at::Tensor& second_moment() const { return second_moment_; }  // [n] fp32

 private:
  at::Tensor parameters_;
  at::Tensor first_moment_;
  at::Tensor second_moment_;
  OptimizerOptions options_;
  int64_t num_updates_ = 0;
};

}  // namespace rung::step
