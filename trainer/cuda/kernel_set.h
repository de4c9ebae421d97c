// The CUDA kernels as a KernelSet: on the current device, on its current stream.
#pragma once

#include "ops/kernel_set.h"

namespace rung::cuda {

const ops::KernelSet& kernel_set();

}  // namespace rung::cuda
