#include "ops/adamw.h"

#include "ops/kernel_set.h"

namespace rung::ops {

void adamw_(at::Tensor& parameters, const at::Tensor& gradients, at::Tensor& first_moment,
            at::Tensor& second_moment, const kernels::AdamWParams& params) {
  kernels_of(parameters).adamw(parameters, gradients, first_moment, second_moment, params);
}

void adamw_8bit_(at::Tensor& parameters, const at::Tensor& gradients,
                 const Moment8bit& first_moment, const Moment8bit& second_moment,
                 const kernels::AdamWParams& params) {
  kernels_of(parameters).adamw_8bit(parameters, gradients, first_moment, second_moment, params);
}

void sum_of_squares(const at::Tensor& x, const at::Tensor& result) {
  kernels_of(x).sum_of_squares(x, result);
}

}  // namespace rung::ops
