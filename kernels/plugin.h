// The facts that librung_cuda.so tells about itself; they need neither driver nor GPU.
#pragma once

#include <vector>

// Compute capabilities that machine code is carried for, ascending, as in 80, 86, 120; for the last
// one PTX as well.
std::vector<int> kernel_architectures();

// What `rung --version` asks for, by name (dlsym).
extern "C" {

// The CUDA version that the kernels were built with: "13.0".
const char* rung_cuda_version();

// The architectures carried, ascending, as in "sm_80 sm_86 sm_120"; the last one also as PTX.
const char* rung_cuda_architectures();
}
