// Preloaded: a GPU whose memory is the host's and whose kernels and matrix products do nothing.
//
// What LibTorch's CUDA part and the plugin do on the host runs on it as it is: checks of arguments,
// the choice of kernels, the caching allocator, streams and events, pinned memory, autograd's
// threads. A launch whose grid, threads of a block or dynamic shared memory a GPU would refuse ends
// the process, as does a product whose leading dimensions cuBLAS would. Not looked at: a kernel's
// own bound of threads (nvcc does not pass __launch_bounds__ on to the runtime) and its static
// shared memory. Results mean nothing: memory starts at 0, and its pages exist only where they are
// written, so that models of any size run. Compute capability 9.0, 80 GiB.
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace {

constexpr size_t kTotal = size_t{80} << 30;  // bytes
constexpr size_t kPage = size_t{2} << 20;    // bytes of what cuMemCreate gives
constexpr unsigned kMostShared = 48 << 10;   // bytes of a block without an attribute
constexpr int kMostSharedOptIn = 227 << 10;  // bytes of a block with it
constexpr unsigned kMostGrid = 65535;        // in y and z
constexpr size_t kCopied = size_t{1} << 20;  // bytes: larger copies would only take memory
constexpr int kProperties[] = {9, 0, 132};   // capability, multiprocessors

struct State {
  std::mutex mutex;
  std::atomic<size_t> used = 0;
  std::map<void*, size_t> allocations;                     // of cudaMalloc
  std::map<CUmemGenericAllocationHandle, size_t> handles;  // of cuMemCreate
  CUmemGenericAllocationHandle next_handle = 1;
  std::map<const void*, std::string> kernels;  // names
  std::map<const void*, int> shared;           // bytes that a kernel may ask for
};

State& state() {
  static auto* all = new State;  // never destroyed: libraries tidy up during exit
  return *all;
}

[[noreturn]] void refuse(const std::string& what) {
  (void)std::fprintf(stderr, "a GPU would refuse: %s\n", what.c_str());
  std::abort();
}

void* map_memory(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) refuse("memory of the host");
  return memory;
}

bool take(size_t bytes) {
  if (state().used + bytes > kTotal) return false;
  state().used += bytes;
  return true;
}

cudaError_t check_launch(const void* kernel, dim3 grid, dim3 block, size_t shared) {
  const std::lock_guard lock(state().mutex);
  const unsigned threads = block.x * block.y * block.z;
  const bool has_grid = grid.x > 0 && grid.x <= 0x7fffffffu && grid.y > 0 && grid.y <= kMostGrid &&
                        grid.z > 0 && grid.z <= kMostGrid;
  const bool has_shared =
      shared <= kMostShared || shared <= static_cast<size_t>(state().shared[kernel]);
  if (has_grid && has_shared && threads > 0 && threads <= 1024 && block.z <= 64) {
    return cudaSuccess;
  }
  refuse("a grid of " + std::to_string(grid.x) + " x " + std::to_string(grid.y) + " x " +
         std::to_string(grid.z) + " blocks of " + std::to_string(threads) + " threads and " +
         std::to_string(shared) + " bytes for " + state().kernels[kernel]);
}

// The leading dimensions of a column-major product: t is whether a factor is transposed.
struct Product {
  int ta, tb, m, n, k, lda, ldb, ldc;
};

int check_product(const Product& p) {
  const bool fits = p.m > 0 && p.n > 0 && p.k > 0 && p.lda >= (p.ta != 0 ? p.k : p.m) &&
                    p.ldb >= (p.tb != 0 ? p.n : p.k) && p.ldc >= p.m;
  if (!fits) {
    refuse("a product of " + std::to_string(p.m) + " x " + std::to_string(p.k) + " x " +
           std::to_string(p.n));
  }
  return 0;
}

// ---- the driver's functions that c10 asks for by name

CUresult create(CUmemGenericAllocationHandle* handle, size_t bytes, const CUmemAllocationProp*,
                unsigned long long) {
  const std::lock_guard lock(state().mutex);
  if (!take(bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  *handle = state().next_handle++;
  state().handles[*handle] = bytes;
  return CUDA_SUCCESS;
}

CUresult release(CUmemGenericAllocationHandle handle) {
  const std::lock_guard lock(state().mutex);
  state().used -= state().handles[handle];
  state().handles.erase(handle);
  return CUDA_SUCCESS;
}

CUresult place(CUdeviceptr address, size_t bytes, int protection) {
  void* placed = mmap(reinterpret_cast<void*>(address), bytes, protection,
                      MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return placed == MAP_FAILED ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult reserve(CUdeviceptr* address, size_t bytes, size_t, CUdeviceptr, unsigned long long) {
  void* memory =
      mmap(nullptr, bytes + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  *address = (reinterpret_cast<CUdeviceptr>(memory) + kPage - 1) / kPage * kPage;
  return CUDA_SUCCESS;
}

CUresult map_handle(CUdeviceptr address, size_t bytes, size_t, CUmemGenericAllocationHandle,
                    unsigned long long) {
  return place(address, bytes, PROT_READ | PROT_WRITE);
}

CUresult unmap(CUdeviceptr address, size_t bytes) { return place(address, bytes, PROT_NONE); }

CUresult set_access(CUdeviceptr, size_t, const CUmemAccessDesc*, size_t) { return CUDA_SUCCESS; }

CUresult free_addresses(CUdeviceptr, size_t) { return CUDA_SUCCESS; }

CUresult get_device(CUdevice* device, int index) {
  *device = index;
  return CUDA_SUCCESS;
}

CUresult get_attribute(int* value, CUdevice_attribute, CUdevice) {
  *value = 1;
  return CUDA_SUCCESS;
}

CUresult error_string(CUresult, const char** text) {
  *text = "an error of the idle GPU";
  return CUDA_SUCCESS;
}

CUresult not_supported() { return CUDA_ERROR_NOT_SUPPORTED; }

void* driver_function(const std::string& name) {
  static const std::map<std::string, void*> functions = {
      {"cuMemCreate", reinterpret_cast<void*>(&create)},
      {"cuMemRelease", reinterpret_cast<void*>(&release)},
      {"cuMemAddressReserve", reinterpret_cast<void*>(&reserve)},
      {"cuMemAddressFree", reinterpret_cast<void*>(&free_addresses)},
      {"cuMemMap", reinterpret_cast<void*>(&map_handle)},
      {"cuMemUnmap", reinterpret_cast<void*>(&unmap)},
      {"cuMemSetAccess", reinterpret_cast<void*>(&set_access)},
      {"cuDeviceGet", reinterpret_cast<void*>(&get_device)},
      {"cuDeviceGetAttribute", reinterpret_cast<void*>(&get_attribute)},
      {"cuGetErrorString", reinterpret_cast<void*>(&error_string)}};
  const auto found = functions.find(name);
  return found == functions.end() ? reinterpret_cast<void*>(&not_supported) : found->second;
}

}  // namespace

extern "C" {

// ---- the device

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::strcpy(properties->name, "Idle GPU");
  properties->major = kProperties[0];
  properties->minor = kProperties[1];
  properties->multiProcessorCount = kProperties[2];
  properties->totalGlobalMem = kTotal;
  properties->sharedMemPerBlock = kMostShared;
  properties->sharedMemPerBlockOptin = kMostSharedOptIn;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->maxGridSize[0] = 0x7fffffff;
  properties->maxGridSize[1] = properties->maxGridSize[2] = static_cast<int>(kMostGrid);
  properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
  properties->warpSize = 32;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  static const std::map<int, int> known = {
      {cudaDevAttrComputeCapabilityMajor, kProperties[0]},
      {cudaDevAttrComputeCapabilityMinor, kProperties[1]},
      {cudaDevAttrMultiProcessorCount, kProperties[2]},
      {cudaDevAttrMaxSharedMemoryPerBlock, static_cast<int>(kMostShared)},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, kMostSharedOptIn},
      {cudaDevAttrMaxThreadsPerBlock, 1024},
      {cudaDevAttrWarpSize, 32}};
  const auto found = known.find(attribute);
  *value = found == known.end() ? 1 : found->second;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -3;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  *function = driver_function(name);
  *found = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

// ---- memory

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = kTotal - state().used;
  *total = kTotal;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** address, size_t bytes) {
  const std::lock_guard lock(state().mutex);
  if (!take(bytes)) return cudaErrorMemoryAllocation;
  *address = map_memory(bytes);
  state().allocations[*address] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* address) {
  const std::lock_guard lock(state().mutex);
  const auto found = state().allocations.find(address);
  if (found == state().allocations.end()) return cudaSuccess;
  state().used -= found->second;
  munmap(address, found->second);
  state().allocations.erase(found);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** address, size_t bytes, unsigned) {
  *address = map_memory(bytes);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void*) { return cudaSuccess; }

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  *attributes = {};
  attributes->type = cudaMemoryTypeDevice;
  attributes->devicePointer = const_cast<void*>(address);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  if (bytes <= kCopied) std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  if (bytes <= kCopied) std::memset(to, value, bytes);
  return cudaSuccess;
}

// ---- streams and events

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  static std::atomic<uintptr_t> number = 0x1000;
  *stream = reinterpret_cast<cudaStream_t>(number += 16);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }

cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status,
                                     unsigned long long*, cudaGraph_t*, const cudaGraphNode_t**,
                                     const cudaGraphEdgeData**, size_t*) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  static std::atomic<uintptr_t> number = 0x1000;
  *event = reinterpret_cast<cudaEvent_t>(number += 16);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventRecordWithFlags(cudaEvent_t, cudaStream_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

// ---- kernels: what nvcc makes of definitions and launches

void** __cudaRegisterFatBinary(void*) {
  static void* handle[1] = {};
  return handle;
}

void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, void*, void*,
                            void*, void*, int*) {
  const std::lock_guard lock(state().mutex);
  state().kernels[host] = name;
}

void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

struct LaunchConfiguration {
  dim3 grid;
  dim3 block;
  size_t shared;
  void* stream;
};
thread_local LaunchConfiguration pushed;

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void* stream) {
  pushed = {grid, block, shared, stream};
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared = pushed.shared;
  *static_cast<void**>(stream) = pushed.stream;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(host));
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void**, size_t shared,
                               cudaStream_t) {
  return check_launch(kernel, grid, block, shared);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* launch, const void* kernel, void**) {
  return check_launch(kernel, launch->gridDim, launch->blockDim, launch->dynamicSmemBytes);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->binaryVersion = attributes->ptxVersion = 10 * kProperties[0] + kProperties[1];
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value > kMostSharedOptIn) return cudaErrorInvalidValue;
  const std::lock_guard lock(state().mutex);
  state().shared[kernel] = value;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int,
                                                                   size_t, unsigned) {
  *blocks = 2;
  return cudaSuccess;
}

// ---- cuBLAS

int cublasCreate_v2(void** handle) {
  *handle = map_memory(1);
  return 0;
}

int cublasDestroy_v2(void*) { return 0; }
int cublasSetStream_v2(void*, void*) { return 0; }
int cublasSetWorkspace_v2(void*, void*, size_t) { return 0; }
int cublasSetMathMode(void*, int) { return 0; }
int cublasSetPointerMode_v2(void*, int) { return 0; }

int cublasGetMathMode(void*, int* mode) {
  *mode = 0;
  return 0;
}

int cublasGetPointerMode_v2(void*, int* mode) {
  *mode = 0;
  return 0;
}

int cublasGemmEx(void*, int ta, int tb, int m, int n, int k, const void*, const void*, int, int lda,
                 const void*, int, int ldb, const void*, void*, int, int ldc, int, int) {
  return check_product({ta, tb, m, n, k, lda, ldb, ldc});
}

int cublasSgemm_v2(void*, int ta, int tb, int m, int n, int k, const float*, const float*, int lda,
                   const float*, int ldb, const float*, float*, int ldc) {
  return check_product({ta, tb, m, n, k, lda, ldb, ldc});
}

int cublasSgemmStridedBatched(void*, int ta, int tb, int m, int n, int k, const float*,
                              const float*, int lda, long long, const float*, int ldb, long long,
                              const float*, float*, int ldc, long long, int) {
  return check_product({ta, tb, m, n, k, lda, ldb, ldc});
}

}  // extern "C"
