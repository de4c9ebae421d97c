// The one way kernels are launched: checked, on the caller's stream. Every .cu file includes this
// header and no other CUDA header.
//
// Tests compile the same .cu files as C++ with tests/support/emulation/include ahead of the
// repository root in the include path; there lies another kernels/launch.h, with the same
// functions, that runs the threads of a grid on the CPU.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/dtype.h"

namespace rung::kernels::cuda {

inline void check_cuda(cudaError_t status, const char* action) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string(action) + ": " + cudaGetErrorName(status) + ": " +
                           cudaGetErrorString(status));
}

// Queues kernel<<<grid, block, shared_bytes>>>(args...) on `stream`. Throws std::runtime_error when
// the launch is refused; faults inside the kernel surface at the next synchronisation.
template <typename... Params, typename... Args>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            Args... args) {
  kernel<<<grid, block, shared_bytes, static_cast<cudaStream_t>(stream.handle)>>>(
      static_cast<Params>(args)...);
  check_cuda(cudaGetLastError(), "kernel launch");
}

// The dynamic shared memory of the running block, `shared_bytes` of its launch. 16-byte aligned.
template <typename T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char rung_dynamic_shared[];
  return reinterpret_cast<T*>(rung_dynamic_shared);
}

// 2^x in one instruction, within 2 units in the last place. exp2f takes three more to give results
// below 2^-126; here they are 0.
__device__ inline float exp2_approx(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// Vector loads and stores need it; `name` is "op: operand".
inline void check_alignment(const void* pointer, uintptr_t bytes, const char* name) {
  if (reinterpret_cast<uintptr_t>(pointer) % bytes == 0) return;
  throw std::invalid_argument(std::string(name) + " is not aligned to " + std::to_string(bytes) +
                              " bytes");
}

}  // namespace rung::kernels::cuda
