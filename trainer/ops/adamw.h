// Optimizer update and gradient norm on flat fp32 buffers.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/adamw.h"

namespace rung::ops {

// Updates parameters and both moments in place (all [n] fp32). Contract: kernels/adamw.h.
void adamw_(at::Tensor& parameters, const at::Tensor& gradients, at::Tensor& first_moment,
            at::Tensor& second_moment, const kernels::AdamWParams& params);

// Euclidean norm of x [n] fp32, the same whatever the number of threads; 0 on the meta device.
double norm(const at::Tensor& x);

}  // namespace rung::ops
