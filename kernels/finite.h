// Scaling gradients and finding out whether they overflowed, in one pass. For dynamic loss scaling,
// which fp16 needs: gradients of a scaled loss are divided by the scale, and a step with a value
// that is not finite is skipped. Source: https://arxiv.org/abs/1710.03740.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launcher queues work on
// `stream` and returns. Nothing here allocates. Results depend on neither threads nor device, but
// for which NaN a NaN becomes.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels {

namespace cpu {

// x [n] *= factor. Sets *flag to 1 where a product is not finite, else leaves it: one flag serves
// all tensors of a step.
void scale_and_check(float* x, int64_t n, float factor, int32_t* flag);

}  // namespace cpu

// Fast where x is aligned to 16 bytes; else it is served element by element.
namespace cuda {

// As cpu::scale_and_check, bit for bit.
void scale_and_check(float* x, int64_t n, float factor, int32_t* flag, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
