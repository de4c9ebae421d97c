// Takes the place of kernels/launch.h when .cu files are compiled as C++: the same functions, and
// the device intrinsics that the kernels use, on the emulated device.
//
// Types and 16-bit conversions are those of CUDA's own headers. Left out on purpose: atomics on
// floating point numbers, whose result depends on the order, and __activemask.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/dtype.h"
#include "tests/support/emulation/device.h"

// One block runs at a time, so its shared variables may be static. They lie in one section, which
// the device fills with a pattern before each block. Kernels live in unnamed namespaces: g++ does
// not put variables of inline functions and others into one section.
#undef __shared__
#define __shared__ static __attribute__((section("rung_shared")))
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __align__
#define __align__(bytes) alignas(bytes)

#define threadIdx (::rung::emulation::thread_index())
#define blockIdx (::rung::emulation::block_index())
#define blockDim (::rung::emulation::block_size())
#define gridDim (::rung::emulation::grid_size())

using EmulatedSite = std::source_location;

inline void __syncthreads(EmulatedSite site = EmulatedSite::current()) {
  rung::emulation::block_barrier(site);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, EmulatedSite site = EmulatedSite::current()) {
  rung::emulation::warp_call(rung::emulation::WarpCall::kSync, mask, 0, 0, site);
}

template <typename T>
T emulated_shuffle(unsigned mask, T value, int source, EmulatedSite site) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = rung::emulation::warp_call(rung::emulation::WarpCall::kShuffle, mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// A source outside the caller's group of `width` lanes is the caller itself.
inline int emulated_source(int source, int width) {
  const int lane = rung::emulation::lane_index();
  return source / width == lane / width && source >= 0 ? source : lane;
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              EmulatedSite site = EmulatedSite::current()) {
  const int group = rung::emulation::lane_index() / width * width;
  return emulated_shuffle(mask, value, group + (source & (width - 1)), site);
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32,
                  EmulatedSite site = EmulatedSite::current()) {
  // Unlike the others, xor may read from a lower group.
  const int lane = rung::emulation::lane_index();
  const int source = lane ^ distance;
  return emulated_shuffle(mask, value, source / width > lane / width ? lane : source, site);
}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 EmulatedSite site = EmulatedSite::current()) {
  const int source = rung::emulation::lane_index() - static_cast<int>(distance);
  return emulated_shuffle(mask, value, emulated_source(source, width), site);
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   EmulatedSite site = EmulatedSite::current()) {
  const int source = rung::emulation::lane_index() + static_cast<int>(distance);
  return emulated_shuffle(mask, value, emulated_source(source, width), site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              EmulatedSite site = EmulatedSite::current()) {
  return static_cast<unsigned>(rung::emulation::warp_call(
      rung::emulation::WarpCall::kVote, mask, static_cast<uint64_t>(predicate != 0), 0, site));
}

inline int __any_sync(unsigned mask, int predicate, EmulatedSite site = EmulatedSite::current()) {
  return __ballot_sync(mask, predicate, site) != 0;
}

inline int __all_sync(unsigned mask, int predicate, EmulatedSite site = EmulatedSite::current()) {
  return __ballot_sync(mask, predicate, site) == mask;
}

inline void __threadfence() {}

// Reads, applies `change`, writes; returns the old value. Other threads may run before it.
template <typename T>
T emulated_atomic(T* address, const std::function<T(T)>& change) {
  static_assert(std::is_integral_v<T>, "atomics on floats depend on the order of threads");
  rung::emulation::maybe_switch();
  const T old = *address;
  *address = change(old);
  return old;
}

template <typename T>
T atomicAdd(T* address, T value) {
  return emulated_atomic<T>(address, [=](T old) { return static_cast<T>(old + value); });
}

template <typename T>
T atomicMax(T* address, T value) {
  return emulated_atomic<T>(address, [=](T old) { return old < value ? value : old; });
}

template <typename T>
T atomicExch(T* address, T value) {
  return emulated_atomic<T>(address, [=](T) { return value; });
}

template <typename T>
T atomicCAS(T* address, T compare, T value) {
  return emulated_atomic<T>(address, [=](T old) { return old == compare ? value : old; });
}

inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
// e^x by a rounded multiplication and 2^y, as on the device: less exact the larger |x| is.
inline float __expf(float x) { return std::exp2(x * 1.44269504f); }
// Its range is the device's too: 0 for a divisor above 2^126.
inline float __fdividef(float a, float b) {
  return std::fabs(b) > 0x1p126f ? a * std::copysign(0.0f, b) : a / b;
}
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline int __popc(unsigned value) { return std::popcount(value); }
inline int __clz(int value) { return std::countl_zero(static_cast<unsigned>(value)); }

template <typename T>
T __ldg(const T* address) {
  return *address;
}

template <typename T>
void emulated_check(const rung::emulation::Device& device, T argument) {
  if constexpr (std::is_pointer_v<T>) device.check_pointer(argument);
}

namespace rung::kernels::cuda {

// `stream.handle` is an emulation::Device. Runs the grid before it returns.
template <typename... Params, typename... Args>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            Args... args) {
  if (stream.handle == nullptr) throw emulation::Fault("no emulated device in the stream");
  auto& device = *static_cast<emulation::Device*>(stream.handle);
  (emulated_check(device, static_cast<Params>(args)), ...);
  device.run({{grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes},
             [=] { kernel(static_cast<Params>(args)...); });
}

template <typename T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(emulation::dynamic_shared_memory());
}

inline float exp2_approx(float x) {
  const float result = std::exp2(x);
  return result < 0x1p-126f ? 0.0f : result;
}

inline void check_alignment(const void* pointer, uintptr_t bytes, const char* name) {
  if (reinterpret_cast<uintptr_t>(pointer) % bytes == 0) return;
  throw std::invalid_argument(std::string(name) + " is not aligned to " + std::to_string(bytes) +
                              " bytes");
}

}  // namespace rung::kernels::cuda
