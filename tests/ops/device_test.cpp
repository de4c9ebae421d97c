#include "ops/device.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "ops/kernel_set.h"
#include "tests/support/counting.h"
#include "tests/support/expect_error.h"

namespace rung::ops {
namespace {

using rung::testing::expect_error;

TEST(OpenDevice, CpuIsTheCpu) {
  const OpenedDevice opened = open_device("cpu");
  EXPECT_TRUE(opened.device.torch_device().is_cpu());
  EXPECT_EQ(opened.why_not_cuda, "");
}

// The plugin lies beside the program, not beside this test.
TEST(OpenDevice, AutoSaysWhyItIsTheCpu) {
  const OpenedDevice opened = open_device("auto");
  EXPECT_TRUE(opened.device.torch_device().is_cpu());
  EXPECT_NE(opened.why_not_cuda.find("CPU build"), std::string::npos);
}

TEST(OpenDevice, RefusesCudaWithoutThePlugin) {
  expect_error(ExitCode::kConfig, "this is a CPU build", [] { open_device("cuda"); });
  expect_error(ExitCode::kConfig, "set device: cpu", [] { open_device("cuda:1"); });
}

// ATen's default lets cuBLAS round parts of a sum to 16 bits.
TEST(OpenDevice, CudaAddsUpProductsInFp32) {
  const at::Context& context = at::globalContext();
  EXPECT_THROW(open_device("cuda"), Error);
  for (const at::CuBLASReductionOption option :
       {context.allowBF16ReductionCuBLAS(), context.allowFP16ReductionCuBLAS()}) {
    EXPECT_EQ(option, at::CuBLASReductionOption::DisallowReducedPrecisionAllowSplitK);
  }
}

TEST(OpenDevice, RefusesADeviceThatItDoesNotKnow) {
  for (const char* device : {"tpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0x", "cuda1", ""}) {
    expect_error(ExitCode::kConfig, "device is none that rung knows", [&] { open_device(device); });
  }
}

TEST(KernelsOf, ThrowsForADeviceWhoseKernelsAreNotLoaded) {
  EXPECT_THROW(kernels_of(c10::kCUDA), c10::Error);
}

TEST(KernelsOf, ARegisteredSetTakesThePlaceOfTheOneBefore) {
  const KernelSet* cpu = &kernels_of(c10::kCPU);
  const KernelSet* meta = &kernels_of(c10::kMeta);
  EXPECT_EQ(register_kernels(c10::kCPU, meta), cpu);
  EXPECT_EQ(&kernels_of(c10::kCPU), meta);
  register_kernels(c10::kCPU, cpu);
}

}  // namespace
}  // namespace rung::ops
