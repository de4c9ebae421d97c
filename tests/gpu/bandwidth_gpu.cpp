// How near NF4 dequantisation comes to the bandwidth of a copy that moves as many bytes.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/nf4.h"

namespace rung {
namespace {

// Throws, which ends the test.
void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

// Random bytes in a device's memory: buses move constant ones faster than a model's.
class DeviceMemory {
 public:
  explicit DeviceMemory(size_t bytes) {
    std::vector<uint64_t> values(bytes / sizeof(uint64_t) + 1);
    std::mt19937_64 random(bytes);
    std::ranges::generate(values, std::ref(random));
    check(cudaMalloc(&data_, bytes));
    check(cudaMemcpy(data_, values.data(), bytes, cudaMemcpyHostToDevice));
  }
  ~DeviceMemory() { (void)cudaFree(data_); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
};

// Median seconds of one run, of several series of runs.
double seconds_of(const std::function<void()>& run) {
  constexpr int kRuns = 20;
  cudaEvent_t start = nullptr;
  cudaEvent_t stop = nullptr;
  check(cudaEventCreate(&start));
  check(cudaEventCreate(&stop));
  std::vector<float> series;
  for (int i = 0; i < 7; ++i) {
    check(cudaEventRecord(start));
    for (int j = 0; j < kRuns; ++j) run();
    check(cudaEventRecord(stop));
    check(cudaEventSynchronize(stop));
    float milliseconds = 0.0f;
    check(cudaEventElapsedTime(&milliseconds, start, stop));
    series.push_back(milliseconds / kRuns);
  }
  check(cudaEventDestroy(start));
  check(cudaEventDestroy(stop));
  std::ranges::nth_element(series, series.begin() + 3);
  return series[3] * 1e-3;
}

// Several matrices one after another: more than the cache of any GPU holds.
TEST(Bandwidth, Nf4DequantiseAgainstACopy) {
  constexpr int64_t kRows = 14336;
  constexpr int64_t kColumns = 4096;
  constexpr int64_t kElements = kRows * kColumns;
  constexpr int64_t kMatrices = 4;
  constexpr int64_t kBlocks = kElements / kernels::kNf4Block;
  const DeviceMemory codes(kMatrices * kElements / 2);
  const DeviceMemory absmax_codes(kMatrices * kBlocks);
  const DeviceMemory nested(kMatrices * (kBlocks / kernels::kNf4NestedBlock) * sizeof(float));
  const DeviceMemory map(256 * sizeof(float));
  const DeviceMemory out(kMatrices * kElements * sizeof(kernels::bf16));
  const auto dequantize = [&] {
    for (int64_t i = 0; i < kMatrices; ++i) {
      const kernels::Nf4View view{
          .codes = codes.as<uint8_t>() + i * kElements / 2,
          .absmax_codes = absmax_codes.as<uint8_t>() + i * kBlocks,
          .nested_absmax = nested.as<float>() + i * (kBlocks / kernels::kNf4NestedBlock),
          .nested_map = map.as<float>(),
          .num_elements = kElements};
      kernels::cuda::nf4_dequantize(view, out.as<kernels::bf16>() + i * kElements,
                                    kernels::Stream{});
    }
  };
  constexpr int64_t kMoved = kMatrices * (kElements / 2 + kBlocks +
                                          kBlocks / kernels::kNf4NestedBlock * 4 + kElements * 2);
  const DeviceMemory from(kMoved / 2);
  const DeviceMemory to(kMoved / 2);
  const auto copy = [&] {
    check(cudaMemcpyAsync(to.as<void>(), from.as<void>(), kMoved / 2, cudaMemcpyDeviceToDevice));
  };
  copy();
  dequantize();
  const double share = seconds_of(copy) / seconds_of(dequantize);
  const double gb_per_second = static_cast<double>(kMoved) / seconds_of(dequantize) * 1e-9;
  RecordProperty("nf4_dequantize_share_of_copy", std::to_string(share));
  RecordProperty("nf4_dequantize_gb_per_second", std::to_string(gb_per_second));
  EXPECT_GT(share, 0.3) << "far from what a copy does";
}

}  // namespace
}  // namespace rung
