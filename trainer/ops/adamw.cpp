#include "ops/adamw.h"

#include <cmath>

#include "kernels/reduce.h"

namespace rung::ops {

void adamw_(at::Tensor& parameters, const at::Tensor& gradients, at::Tensor& first_moment,
            at::Tensor& second_moment, const kernels::AdamWParams& params) {
  if (parameters.is_meta()) return;
  kernels::cpu::adamw(parameters.data_ptr<float>(), gradients.const_data_ptr<float>(),
                      first_moment.data_ptr<float>(), second_moment.data_ptr<float>(),
                      parameters.numel(), params);
}

double norm(const at::Tensor& x) {
  if (x.is_meta()) return 0.0;
  return std::sqrt(kernels::cpu::sum_of_squares(x.const_data_ptr<float>(), x.numel()));
}

}  // namespace rung::ops
