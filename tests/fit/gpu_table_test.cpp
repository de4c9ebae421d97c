#include "fit/gpu_table.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::fit {
namespace {

using rung::testing::expect_error;

const std::string kCard =
    "card:\n"
    "  memory_gib: 23.5\n"
    "  multiprocessors: 80\n"
    "  architecture: 89\n"
    "  bf16_tflops: 100\n"
    "  memory_gb_per_s: 900\n"
    "  pcie_gb_per_s: 25\n"
    "  price_per_hour: 0.5\n"
    "  price_date: 2026-01-31\n";

std::vector<Gpu> read_text(const std::string& text) {
  const rung::testing::TempDir dir;
  return read_gpus(dir.write("gpus.yaml", text));
}

TEST(GpuTable, IsReadInUnitsOfBytesAndSeconds) {
  const Gpu gpu = read_text(kCard).front();
  EXPECT_EQ(gpu.name, "card");
  EXPECT_EQ(gpu.memory, (int64_t{47} << 30) / 2);
  EXPECT_EQ(gpu.architecture, 89);
  EXPECT_EQ(gpu.flops_per_second, 100e12);
  EXPECT_EQ(gpu.memory_bandwidth, 900e9);
  EXPECT_EQ(gpu.transfer_bandwidth, 25e9);
  EXPECT_EQ(gpu.price_per_hour, 0.5);
  EXPECT_EQ(gpu.price_date, "2026-01-31");
}

TEST(GpuTable, ThatComesWithRungIsSound) {
  const auto gpus = read_gpus(std::string(RUNG_SOURCE_DIR) + "/configs/gpus.yaml");
  EXPECT_EQ(gpus.size(), 11u);
  for (const Gpu& gpu : gpus) {
    EXPECT_FALSE(gpu.price_date.empty()) << gpu.name;
    EXPECT_GE(gpu.architecture, 80) << gpu.name;
  }
  EXPECT_EQ(find_gpu(gpus, "rtx-4090").memory, (int64_t{47} << 30) / 2);
}

TEST(GpuTable, RefusesWhatItDoesNotKnowByFileAndLine) {
  expect_error(ExitCode::kConfig, "unknown key memory_gb of the GPU card",
               [] { read_text(kCard + "  memory_gb: 3\n"); });
  expect_error(ExitCode::kConfig, "gpus.yaml:10", [] { read_text(kCard + "  memory_gb: 3\n"); });
  expect_error(ExitCode::kConfig, "bf16_tflops of the GPU card: got fast",
               [] { read_text("card: {bf16_tflops: fast}\n"); });
  expect_error(ExitCode::kConfig, "memory_gib of the GPU card: got nothing",
               [] { read_text("card: {bf16_tflops: 3}\n"); });
  expect_error(ExitCode::kConfig, "a table of GPUs has none in it", [] { read_text("\n"); });
}

TEST(GpuTable, NamesTheOnesThereAre) {
  expect_error(ExitCode::kUsage, "one of card", [] { find_gpu(read_text(kCard), "h100"); });
}

}  // namespace
}  // namespace rung::fit
