// The entry points of librung_cuda.so, found by name (dlsym).
#pragma once

#include "memory/device.h"
#include "ops/kernel_set.h"

extern "C" {

// GPU `index` as a device, owned by the plugin. Throws rung::Error (cuda/device.h).
rung::memory::Device* rung_cuda_open(int index);

// The kernels for tensors on it, owned by the plugin.
const rung::ops::KernelSet* rung_cuda_kernel_set();
}
