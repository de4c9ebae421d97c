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
              {.learning_rate = static_cast<float>(learning_rate),
               .beta1 = static_cast<float>(options_.beta1),
               .beta2 = static_cast<float>(options_.beta2),
               .epsilon = static_cast<float>(options_.epsilon),
               .weight_decay = static_cast<float>(options_.weight_decay),
               .step = num_updates_,
               .grad_scale = static_cast<float>(grad_scale)});
}

}  // namespace rung::step
