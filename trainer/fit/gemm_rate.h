// How fast the device multiplies matrices when nothing else is to be done: what a training step's
// rate is compared with.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "memory/device.h"

namespace rung::fit {

struct GemmRate {
  int64_t size = 0;               // of the square matrices
  double flops_per_second = 0.0;  // median
};

// Times products C = A B' of square matrices of random values (zeros take less power, and so a
// higher clock) in `dtype`. The size is one at which the library has reached its rate, or less
// where the three matrices would take more than `memory` bytes. Runs for about a second.
GemmRate measure_gemm_rate(memory::Device& device, c10::ScalarType dtype, int64_t memory);

}  // namespace rung::fit
