#include "step/optimizer.h"

#include <ATen/ops/zeros.h>

#include "memory/counter.h"
#include "ops/adamw.h"

namespace rung::step {

Optimizer::Optimizer(const at::Tensor& parameters, const OptimizerOptions& options)
    : parameters_(parameters), options_(options) {
  const memory::ComponentScope scope(memory::Component::kOptimizer);
  first_moment_ = at::zeros(parameters.sizes(), parameters.options());
  second_moment_ = at::zeros(parameters.sizes(), parameters.options());
}

void Optimizer::update(const at::Tensor& gradients, double learning_rate, double grad_scale) {
  ++num_updates_;
  ops::adamw_(parameters_, gradients, first_moment_, second_moment_,
              {.learning_rate = learning_rate,
               .beta1 = options_.beta1,
               .beta2 = options_.beta2,
               .epsilon = options_.epsilon,
               .weight_decay = options_.weight_decay,
               .step = num_updates_,
               .grad_scale = grad_scale});
}

}  // namespace rung::step
