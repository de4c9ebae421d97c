// Matrix products on preallocated results.
#pragma once

#include <ATen/core/Tensor.h>

#include "ops/precision.h"

namespace rung::ops {

// Given a [m, k] and b [k, n] of one dtype (of each, the rows or the columns are dense), sets
// c [m, n] of the same dtype (dense rows) to alpha * a b. Sums are in fp32 and rounded once.
void gemm_set(at::Tensor& c, const at::Tensor& a, const at::Tensor& b, const Precision& precision,
              double alpha = 1.0);

// c += alpha * a b, all of one dtype; what c holds is part of the sum before it is rounded.
void gemm_add(at::Tensor& c, const at::Tensor& a, const at::Tensor& b, const Precision& precision,
              double alpha = 1.0);

// The same into an fp32 sum that outlives the pass (an adapter's gradient). 16-bit operands are
// accumulated without rounding in between, but for oneDNN on a CPU: there the product is rounded to
// their dtype first.
void gemm_accumulate(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b,
                     const Precision& precision, double alpha = 1.0);

// x *= factor. ATen makes a tensor of the factor; those bytes count as the library's.
void scale_(at::Tensor& x, double factor);

// x itself where it has the dtype already, else a copy in it (component kWorkspace).
at::Tensor as_dtype(const at::Tensor& x, c10::ScalarType dtype);

}  // namespace rung::ops
