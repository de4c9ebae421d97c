// What librung_cuda.so offers to the program, by name (dlsym).
#include "cuda/plugin.h"

#include "cuda/device.h"
#include "cuda/kernel_set.h"

extern "C" rung::memory::Device* rung_cuda_open(int index) {
  return &rung::cuda::open_device(index);
}

extern "C" const rung::ops::KernelSet* rung_cuda_kernel_set() { return &rung::cuda::kernel_set(); }
