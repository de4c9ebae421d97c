#include "tests/allocator/fake_cuda.h"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace {

using rung::testing::fake_gpu;
using rung::testing::Placement;

constexpr uint64_t kAlignment = 2 << 20;
constexpr uint64_t kMiddle = uint64_t{1} << 56;  // far from the ends in both directions

// Sizes of what was given out and not given back: memory by handle or address, and address ranges.
std::unordered_map<uint64_t, size_t>& sizes() {
  static std::unordered_map<uint64_t, size_t> sizes;
  return sizes;
}

// Never the same address twice.
uint64_t new_address(size_t size) {
  static uint64_t above = kMiddle;
  static uint64_t below = kMiddle;
  const uint64_t rounded = (size + kAlignment - 1) / kAlignment * kAlignment;
  if (fake_gpu().placement == Placement::kBelow) return below -= rounded;
  return std::exchange(above, above + rounded);
}

bool take_memory(size_t size) {
  if (fake_gpu().used + static_cast<int64_t>(size) > fake_gpu().total) return false;
  fake_gpu().used += static_cast<int64_t>(size);
  return true;
}

// False where nothing of that name was given out.
bool give_back_memory(uint64_t name) {
  const auto found = sizes().find(name);
  if (found == sizes().end()) return false;
  fake_gpu().used -= static_cast<int64_t>(found->second);
  sizes().erase(found);
  return true;
}

// ---- the driver's functions, by name

CUresult mem_create(CUmemGenericAllocationHandle* handle, size_t size, const CUmemAllocationProp*,
                    unsigned long long) {
  if (!take_memory(size)) return CUDA_ERROR_OUT_OF_MEMORY;
  static CUmemGenericAllocationHandle last = 0;
  *handle = ++last;
  sizes()[*handle] = size;
  return CUDA_SUCCESS;
}

CUresult mem_release(CUmemGenericAllocationHandle handle) {
  return give_back_memory(handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult mem_address_reserve(CUdeviceptr* address, size_t size, size_t, CUdeviceptr,
                             unsigned long long) {
  *address = new_address(size);
  sizes()[*address] = size;
  return CUDA_SUCCESS;
}

CUresult mem_address_free(CUdeviceptr address, size_t size) {
  const auto found = sizes().find(address);
  if (found == sizes().end() || found->second != size) return CUDA_ERROR_INVALID_VALUE;
  sizes().erase(found);
  return CUDA_SUCCESS;
}

CUresult mem_map(CUdeviceptr, size_t size, size_t, CUmemGenericAllocationHandle handle,
                 unsigned long long) {
  const auto found = sizes().find(handle);
  return found != sizes().end() && found->second == size ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult mem_set_access(CUdeviceptr, size_t, const CUmemAccessDesc*, size_t) {
  return CUDA_SUCCESS;
}

CUresult mem_unmap(CUdeviceptr, size_t) { return CUDA_SUCCESS; }

CUresult device_get(CUdevice* device, int ordinal) {
  *device = ordinal;
  return CUDA_SUCCESS;
}

// No sharing of memory between processes, no RDMA.
CUresult device_get_attribute(int* value, CUdevice_attribute, CUdevice) {
  *value = 0;
  return CUDA_SUCCESS;
}

CUresult get_error_string(CUresult, const char** text) {
  *text = "an error of the fake driver";
  return CUDA_SUCCESS;
}

// LibTorch wants each function to be there; what is not defined above must not be called.
[[noreturn]] void unexpected_call() {
  std::fputs("fake_cuda: a function of the driver that is not there was called\n", stderr);
  std::abort();
}

void* driver_function(std::string_view name) {
  const auto is = [&](auto* function) { return reinterpret_cast<void*>(function); };
  if (name == "cuMemCreate") return is(&mem_create);
  if (name == "cuMemRelease") return is(&mem_release);
  if (name == "cuMemAddressReserve") return is(&mem_address_reserve);
  if (name == "cuMemAddressFree") return is(&mem_address_free);
  if (name == "cuMemMap") return is(&mem_map);
  if (name == "cuMemSetAccess") return is(&mem_set_access);
  if (name == "cuMemUnmap") return is(&mem_unmap);
  if (name == "cuDeviceGet") return is(&device_get);
  if (name == "cuDeviceGetAttribute") return is(&device_get_attribute);
  if (name == "cuGetErrorString") return is(&get_error_string);
  return is(&unexpected_call);
}

}  // namespace

namespace rung::testing {

FakeGpu& fake_gpu() {
  static FakeGpu gpu;
  return gpu;
}

}  // namespace rung::testing

// ---- the runtime's functions

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int) { return cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::strcpy(properties->name, "fake GPU");
  properties->major = 8;
  properties->totalGlobalMem = static_cast<size_t>(fake_gpu().total);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** address, size_t size) {
  if (!take_memory(size)) return cudaErrorMemoryAllocation;
  const uint64_t taken = new_address(size);
  sizes()[taken] = size;
  *address = reinterpret_cast<void*>(taken);
  return cudaSuccess;
}

cudaError_t cudaFree(void* address) {
  const bool known = give_back_memory(reinterpret_cast<uint64_t>(address));
  return known ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = static_cast<size_t>(fake_gpu().total - fake_gpu().used);
  *total = static_cast<size_t>(fake_gpu().total);
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = *greatest = 0;
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }

cudaError_t cudaGetLastError() { return cudaSuccess; }

const char* cudaGetErrorString(cudaError_t) { return "an error of the fake runtime"; }

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned int,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  *function = driver_function(name);
  *found = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

}  // extern "C"
