// Optimizer update and gradient norm on flat fp32 buffers.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/adamw.h"

namespace rung::ops {

// Updates parameters and both moments in place (all [n] fp32). Contract: kernels/adamw.h.
void adamw_(at::Tensor& parameters, const at::Tensor& gradients, at::Tensor& first_moment,
            at::Tensor& second_moment, const kernels::AdamWParams& params);

// A moment in 8 bits.
struct Moment8bit {
  at::Tensor codes;   // uint8 [n]
  at::Tensor absmax;  // fp32 [ceil(n / 256)]
};

// The same with moments in 8 bits. Contract: kernels/adamw_8bit.h.
void adamw_8bit_(at::Tensor& parameters, const at::Tensor& gradients,
                 const Moment8bit& first_moment, const Moment8bit& second_moment,
                 const kernels::AdamWParams& params);

// Sets result [1] fp64, on the device of x [n] fp32, to the sum of squares: the same bits whatever
// the number of threads.
void sum_of_squares(const at::Tensor& x, const at::Tensor& result);

}  // namespace rung::ops
