#include "fit/gemm_rate.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "memory/counter.h"
#include "model/random_weights.h"
#include "ops/gemm.h"

namespace rung::fit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSeconds = 1.0;
constexpr int64_t kMinProducts = 5;

// A multiple of 64, so that no kernel has edges to see to.
int64_t matrix_size(c10::Device device, c10::ScalarType dtype, int64_t memory) {
  const double element = static_cast<double>(c10::elementSize(dtype));
  const double affordable = std::sqrt(std::max(0.0, static_cast<double>(memory)) / (3.0 * element));
  const int64_t wanted = device.is_cpu() ? 2048 : 8192;
  return std::clamp(static_cast<int64_t>(affordable) / 64 * 64, int64_t{64}, wanted);
}

at::Tensor random_matrix(const std::string& name, int64_t size, c10::Device device,
                         c10::ScalarType dtype) {
  const model::RandomWeights source(/*seed=*/0, device);
  at::Tensor matrix = at::empty({size, size}, at::TensorOptions(device).dtype(dtype));
  at::Tensor row = at::empty({size}, at::TensorOptions(device).dtype(source.dtype(name)));
  for (int64_t i = 0; i < size; ++i) {
    source.read(name, i * size, row);
    matrix.select(0, i).copy_(row);
  }
  return matrix;
}

}  // namespace

GemmRate measure_gemm_rate(memory::Device& device, const ops::Precision& precision,
                           int64_t memory) {
  const c10::NoGradGuard no_grad;
  const memory::ComponentScope scope(memory::Component::kWorkspace);
  const c10::Device where = device.torch_device();
  const int64_t size = matrix_size(where, precision.compute, memory);
  const at::Tensor a = random_matrix("gemm.a", size, where, precision.compute);
  const at::Tensor b = random_matrix("gemm.b", size, where, precision.compute);
  at::Tensor c = at::empty_like(a);
  ops::gemm_set(c, a, b.t(), precision);  // kernels are chosen, memory is taken
  std::vector<double> seconds;
  const auto start = Clock::now();
  const auto since = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  while (std::ssize(seconds) < kMinProducts || since(start) < kSeconds) {
    device.synchronize();
    const auto begin = Clock::now();
    ops::gemm_set(c, a, b.t(), precision);
    device.synchronize();
    seconds.push_back(since(begin));
  }
  std::ranges::nth_element(seconds, seconds.begin() + std::ssize(seconds) / 2);
  const double flops = 2.0 * std::pow(static_cast<double>(size), 3);
  return {.size = size, .flops_per_second = flops / seconds[seconds.size() / 2]};
}

}  // namespace rung::fit
