// The limits of a run on a GPU, tried on a device that only has figures.
#include "training/machine.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/expect_error.h"

namespace rung::training {
namespace {

using rung::testing::expect_error;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

// A GPU of 24 GiB, a part of which others hold, and this process 700 MiB of it beside tensors.
class FiguresOfAGpu final : public memory::Device {
 public:
  explicit FiguresOfAGpu(int64_t free) : free_(free) {}
  c10::Device torch_device() const override { return {c10::kCUDA, 0}; }
  std::string name() const override { return "GPU"; }
  std::string pci_bus_id() const override { return "0000:3B:00.0"; }
  int64_t num_multiprocessors() const override { return 128; }
  int64_t architecture() const override { return 90; }
  int64_t total_memory() const override { return 24 * kGiB; }
  int64_t free_memory() const override { return free_; }
  int64_t reserved() const override { return 0; }
  int64_t other() const override { return 600 * kMiB; }
  int64_t neighbours() const override { return 0; }
  int64_t overhead() const override { return 700 * kMiB; }
  memory::Counter& counter() const override { return memory::cpu_device().counter(); }
  void set_limit(int64_t) override {}
  void release_cached() override {}
  void synchronize() override {}

 private:
  int64_t free_;  // bytes
};

RunConfig with_limit(int64_t bytes) {
  RunConfig config;
  config.memory_limit = bytes;
  config.memory_limit_place = "run.yaml:7";
  return config;
}

TEST(LimitOnAGpu, IsOfTheWholeProcessWithItsContext) {
  const FiguresOfAGpu gpu(10 * kGiB);
  EXPECT_EQ(limit_on(gpu, with_limit(8 * kGiB)), 8 * kGiB);
  EXPECT_EQ(limit_on(gpu, with_limit(10 * kGiB + 600 * kMiB)), 10 * kGiB + 600 * kMiB);
}

TEST(LimitOnAGpu, IsWhatIsFreeLessAReserveWhereNoneIsGiven) {
  EXPECT_EQ(limit_on(FiguresOfAGpu(10 * kGiB), with_limit(0)), 10 * kGiB + 600 * kMiB - 256 * kMiB);
}

TEST(LimitOnAGpu, IsRefusedAboveWhatIsFree) {
  expect_error(
      ExitCode::kDoesNotFit,
      "memory_limit is above what is free: got 20.0 GiB, expected at most 10.6 GiB; lower "
      "it, leave it out (then what is free is the limit), or free memory: nvidia-smi lists "
      "who holds it (run.yaml:7)",
      [] { limit_on(FiguresOfAGpu(10 * kGiB), with_limit(20 * kGiB)); });
}

TEST(LimitOnAGpu, IsRefusedWhereItLeavesNothingForTensors) {
  expect_error(ExitCode::kDoesNotFit,
               "memory_limit leaves nothing for tensors: got 500.0 MiB, expected more than the "
               "700.0 MiB of the CUDA context and workspaces; raise memory_limit (run.yaml:7)",
               [] { limit_on(FiguresOfAGpu(10 * kGiB), with_limit(500 * kMiB)); });
}

}  // namespace
}  // namespace rung::training
