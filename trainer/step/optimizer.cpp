#include "step/optimizer.h"

#include <ATen/ops/zeros.h>

#include "kernels/adamw_8bit.h"
#include "memory/counter.h"

namespace rung::step {

Optimizer::Optimizer(const at::Tensor& parameters, const OptimizerOptions& options)
    : parameters_(parameters), options_(options) {
  const memory::ComponentScope scope(memory::Component::kOptimizer);
  const int64_t n = parameters.numel();
  const int64_t blocks = (n + kernels::kAdamW8bitBlock - 1) / kernels::kAdamW8bitBlock;
  for (const std::string moment : {"first_moment", "second_moment"}) {
    if (options.moments == Moments::kFp32) {
      state_.push_back({moment, at::zeros({n}, parameters.options())});
    } else {
      state_.push_back({moment + ".codes", at::zeros({n}, parameters.options().dtype(c10::kByte))});
      state_.push_back({moment + ".absmax", at::zeros({blocks}, parameters.options())});
    }
  }
}

void Optimizer::update(const at::Tensor& gradients, double learning_rate, double grad_scale) {
  const kernels::AdamWParams params{.learning_rate = learning_rate,
                                    .beta1 = options_.beta1,
                                    .beta2 = options_.beta2,
                                    .epsilon = options_.epsilon,
                                    .weight_decay = options_.weight_decay,
                                    .step = num_updates_ + 1,
                                    .grad_scale = grad_scale};
  if (options_.moments == Moments::kFp32) {
    ops::adamw_(parameters_, gradients, state_[0].tensor, state_[1].tensor, params);
  } else {
    ops::adamw_8bit_(parameters_, gradients, {state_[0].tensor, state_[1].tensor},
                     {state_[2].tensor, state_[3].tensor}, params);
  }
  ++num_updates_;
}

}  // namespace rung::step
