// The facts that librung_cuda.so tells about itself. No kernels here.
#include "kernels/plugin.h"

namespace {

// nvcc lists the architectures of a compilation as 800,860,...: ten times the number after "sm_".
constexpr int kArchitectures[] = {__CUDA_ARCH_LIST__};

}  // namespace

std::vector<int> kernel_architectures() {
  std::vector<int> architectures;
  for (int architecture : kArchitectures) architectures.push_back(architecture / 10);
  return architectures;
}
