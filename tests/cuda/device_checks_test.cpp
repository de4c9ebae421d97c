#include "cuda/device_checks.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace {

// What the driver says.
struct Driver {
  int version = CUDART_VERSION;
  int num_gpus = 1;
  cudaError_t status = cudaSuccess;
};
Driver driver;

}  // namespace

// In the place of libcudart's.
extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  *version = driver.version;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = driver.num_gpus;
  return driver.status;
}

}  // extern "C"

namespace rung::cuda {
namespace {

using rung::testing::expect_error;

const std::vector<int> kCarried = {80, 86, 89, 90, 100, 120};

class DeviceChecks : public ::testing::Test {
 protected:
  void SetUp() override { driver = {}; }
};

TEST_F(DeviceChecks, TheDriverMustBeThere) {
  driver.version = 0;
  expect_error(ExitCode::kConfig, "there is no NVIDIA driver; install one, or set device: cpu",
               check_driver);
}

TEST_F(DeviceChecks, TheDriverMustBeOfTheSameMajorVersionOrALaterOne) {
  driver.version = 12080;
  expect_error(ExitCode::kConfig,
               "the NVIDIA driver is too old: got one for CUDA 12.8; install one for CUDA 13 or "
               "newer, or set device: cpu",
               check_driver);
  for (const int version : {CUDART_VERSION, 13000, 14020}) {
    driver.version = version;
    EXPECT_NO_THROW(check_driver()) << version;
  }
}

TEST_F(DeviceChecks, SayWhyThereIsNoGpu) {
  driver = {.num_gpus = 0, .status = cudaErrorNoDevice};
  expect_error(ExitCode::kConfig,
               "there is no usable GPU: got no CUDA-capable device is detected; see nvidia-smi and "
               "CUDA_VISIBLE_DEVICES, or set device: cpu",
               [] { check_index(0); });
  driver = {.num_gpus = 0};
  expect_error(ExitCode::kConfig, "there is no usable GPU: got no CUDA-capable device",
               [] { check_index(0); });
}

TEST_F(DeviceChecks, TheIndexIsOneOfThoseThere) {
  driver.num_gpus = 2;
  EXPECT_NO_THROW(check_index(1));
  expect_error(ExitCode::kConfig, "there is no such GPU: got cuda:2; use one of cuda:0 .. cuda:1",
               [] { check_index(2); });
  driver.num_gpus = 1;
  expect_error(ExitCode::kConfig, "there is no such GPU: got cuda:7; the only one is cuda:0",
               [] { check_index(7); });
}

TEST_F(DeviceChecks, MachineCodeRunsWithinItsGenerationAndPtxFromTheLastOneOn) {
  for (const int runs : {80, 86, 87, 89, 90, 100, 103, 120, 121, 130}) {
    EXPECT_NO_THROW(check_architecture({"GPU", runs}, kCarried)) << runs;
  }
  for (const int does_not : {61, 70, 75, 110}) {
    expect_error(ExitCode::kConfig, "this build has no kernels for the GPU", [&] {
      check_architecture({"GPU", does_not}, kCarried);
    });
  }
  expect_error(ExitCode::kConfig,
               "got Tesla T4 (sm_75); it carries sm_80, sm_86, sm_89, sm_90, sm_100, sm_120; set "
               "device: cpu",
               [] {
                 check_architecture({"Tesla T4", 75}, kCarried);
               });
}

TEST_F(DeviceChecks, LibTorchsErrorsBecomeOneLine) {
  const Error busy = unusable_gpu(
      "CUDA error: CUDA-capable device(s) is/are busy or unavailable\n"
      "Search for `cudaErrorDevicesUnavailable' in https://docs.nvidia.com for more information.\n"
      "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\n");
  EXPECT_EQ(busy.code(), ExitCode::kConfig);
  EXPECT_STREQ(busy.what(),
               "the GPU cannot be used: got CUDA-capable device(s) is/are busy or unavailable; see "
               "nvidia-smi for who else uses it, or set device: cpu");
}

TEST_F(DeviceChecks, AFullGpuIsOutOfMemory) {
  for (const char* text : {"CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`",
                           "CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has a total"}) {
    const Error full = unusable_gpu(text);
    EXPECT_EQ(full.code(), ExitCode::kDoesNotFit);
    EXPECT_STREQ(full.what(),
                 "the GPU's memory is full; see nvidia-smi for who holds it, or set device: cpu");
  }
}

}  // namespace
}  // namespace rung::cuda
