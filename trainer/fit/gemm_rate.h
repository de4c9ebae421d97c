// How fast the device multiplies matrices when nothing else is to be done: what a training step's
// rate is compared with.
#pragma once

#include <cstdint>

#include "memory/device.h"
#include "ops/precision.h"

namespace rung::fit {

struct GemmRate {
  int64_t size = 0;               // of the square matrices
  double flops_per_second = 0.0;  // median
};

// Times products C = A B' of square matrices of random values (zeros take less power, and so a
// higher clock) in the given precision. The size is one beyond which the rate grows no more, or
// less where the three matrices would take more than `memory` bytes. Runs for about a second.
GemmRate measure_gemm_rate(memory::Device& device, const ops::Precision& precision, int64_t memory);

}  // namespace rung::fit
