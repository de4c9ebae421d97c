// The facts that librung_cuda.so tells about itself. No kernels here.
#include <cuda_runtime_api.h>

#include <string>

#include "kernels/plugin.h"

namespace {

// nvcc lists the architectures of a compilation as 800,860,...: ten times the number after "sm_".
constexpr int kArchitectures[] = {__CUDA_ARCH_LIST__};

std::string join_architectures() {
  std::string list;
  for (int architecture : kernel_architectures()) {
    list += (list.empty() ? "sm_" : " sm_") + std::to_string(architecture);
  }
  return list;
}

}  // namespace

std::vector<int> kernel_architectures() {
  std::vector<int> architectures;
  for (int architecture : kArchitectures) architectures.push_back(architecture / 10);
  return architectures;
}

extern "C" const char* rung_cuda_version() {
  static const std::string version =
      std::to_string(CUDART_VERSION / 1000) + '.' + std::to_string(CUDART_VERSION % 1000 / 10);
  return version.c_str();
}

extern "C" const char* rung_cuda_architectures() {
  static const std::string architectures = join_architectures();
  return architectures.c_str();
}
