// AdamW over the adapter's flat buffer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ops/adamw.h"

namespace rung::step {

// How the two moments are kept: 8 bytes a parameter, or 2 (kernels/adamw_8bit.h).
enum class Moments { kFp32, k8bit };

struct OptimizerOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  Moments moments = Moments::kFp32;
};

// Its complete state: the moments and the number of updates made.
class Optimizer {
 public:
  struct StateTensor {
    std::string name;   // "first_moment"; in 8 bits "first_moment.codes", "first_moment.absmax"
    at::Tensor tensor;  // fp32 [n]; codes uint8 [n], absmax fp32 [ceil(n / 256)]
  };

  // Moments for `parameters` (fp32 [n], flat), zero.
  Optimizer(const at::Tensor& parameters, const OptimizerOptions& options);

  // One update in place. The gradient is multiplied by grad_scale first (clipping). Allocates
  // nothing. Formula: torch.optim.AdamW (https://arxiv.org/abs/1711.05101).
  void update(const at::Tensor& gradients, double learning_rate, double grad_scale);

  int64_t num_updates() const { return num_updates_; }
  void set_num_updates(int64_t updates) { num_updates_ = updates; }
  // To be saved, and filled from what was saved.
  const std::vector<StateTensor>& state() const { return state_; }

 private:
  at::Tensor parameters_;
  std::vector<StateTensor> state_;
  OptimizerOptions options_;
  int64_t num_updates_ = 0;
};

}  // namespace rung::step
