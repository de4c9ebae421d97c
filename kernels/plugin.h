// What `rung --version` asks librung_cuda.so for, by name (dlsym); needs neither driver nor GPU.
#pragma once

extern "C" {

// The CUDA version that the kernels were built with: "13.0".
const char* rung_cuda_version();

// The architectures carried, ascending, as in "sm_80 sm_86 sm_120"; the last one also as PTX.
const char* rung_cuda_architectures();
}
