#include "cuda/device_checks.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace rung::cuda {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& got, const std::string& hint) {
  throw Error(ExitCode::kConfig, {.what = what, .got = got, .hint = hint});
}

// Behind the first line LibTorch advises those who debug PyTorch.
std::string first_line(std::string_view text) {
  constexpr std::string_view kPrefix = "CUDA error: ";
  if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

void check_driver() {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    refuse("there is no NVIDIA driver", "", "install one, or set device: cpu");
  }
  if (driver / 1000 >= CUDART_VERSION / 1000) return;
  refuse(
      "the NVIDIA driver is too old",
      fmt::format("one for CUDA {}.{}", driver / 1000, driver % 1000 / 10),
      fmt::format("install one for CUDA {} or newer, or set device: cpu", CUDART_VERSION / 1000));
}

void check_index(int index) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    refuse("there is no usable GPU",
           status == cudaSuccess ? "no CUDA-capable device" : cudaGetErrorString(status),
           "see nvidia-smi and CUDA_VISIBLE_DEVICES, or set device: cpu");
  }
  if (index < count) return;
  refuse("there is no such GPU", fmt::format("cuda:{}", index),
         count == 1 ? "the only one is cuda:0"
                    : fmt::format("use one of cuda:0 .. cuda:{}", count - 1));
}

// Machine code runs on its own architecture and on later ones of the same generation; the PTX of
// the last one on everything from it on.
void check_architecture(const GpuArchitecture& gpu, const std::vector<int>& carried) {
  const bool runs = std::ranges::any_of(carried, [&](int architecture) {
    return architecture / 10 == gpu.number / 10 && architecture <= gpu.number;
  });
  if (runs || gpu.number >= carried.back()) return;
  refuse("this build has no kernels for the GPU", fmt::format("{} (sm_{})", gpu.name, gpu.number),
         fmt::format("it carries sm_{}; set device: cpu", fmt::join(carried, ", sm_")));
}

Error unusable_gpu(std::string_view library_text) {
  const std::string reason = first_line(library_text);
  if (reason.find("out of memory") == std::string::npos) {
    return Error(ExitCode::kConfig, {.what = "the GPU cannot be used",
                                     .got = reason,
                                     .hint = "see nvidia-smi for who else uses it, or set device: "
                                             "cpu"});
  }
  return Error(ExitCode::kDoesNotFit,
               {.what = "the GPU's memory is full",
                .hint = "see nvidia-smi for who holds it, or set device: cpu"});
}

}  // namespace rung::cuda
