// Whether a GPU can be used, before LibTorch is asked: one clear line where it cannot.
//
// Needs of CUDA only its runtime library, so that tests try it without a GPU.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace rung::cuda {

// Throws Error kConfig where there is no driver, it is too old, or there is no such GPU.
void check_driver();
void check_index(int index);

struct GpuArchitecture {
  std::string name;  // of the GPU, for the message
  int number;        // 90 for compute capability 9.0
};

// `carried`: what the kernels were compiled for, ascending; the last one also as PTX. Throws Error
// kConfig where none of them runs.
void check_architecture(const GpuArchitecture& gpu, const std::vector<int>& carried);

// What LibTorch's error says of a GPU that passed the checks and cannot be opened all the same: it
// is in exclusive use (kConfig), or full (kDoesNotFit).
Error unusable_gpu(std::string_view library_text);

}  // namespace rung::cuda
