// Preloaded: GPUs that exist as far as their properties, and refuse the first real work with the
// code RUNG_FAKE_GPU_REFUSAL. RUNG_FAKE_GPUS of them, of architecture RUNG_FAKE_GPU_SM.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>

namespace {

int number_of(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = number_of("RUNG_FAKE_GPUS", 1);
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  const int architecture = number_of("RUNG_FAKE_GPU_SM", 80);
  *properties = {};
  std::strcpy(properties->name, "Fake GPU");
  properties->major = architecture / 10;
  properties->minor = architecture % 10;
  properties->totalGlobalMem = size_t{16} << 30;
  return cudaSuccess;
}

// The first that LibTorch asks of a GPU itself.
cudaError_t cudaDeviceGetStreamPriorityRange(int*, int*) {
  return static_cast<cudaError_t>(number_of("RUNG_FAKE_GPU_REFUSAL", cudaErrorDevicesUnavailable));
}

}  // extern "C"
