// Against libraries made for the purpose (tests/fake_nvml); no driver is needed.
#include "base/nvml.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace rung {
namespace {

const std::string kFake = std::string(RUNG_NVML_DIR) + "/fake_nvml/libnvidia-ml.so.1";
const std::string kBare = std::string(RUNG_NVML_DIR) + "/bare_nvml/libnvidia-ml.so.1";
constexpr int64_t kGiB = int64_t{1} << 30;

TEST(Nvml, TellsEveryFigureOfAGpu) {
  const Nvml nvml(kFake);
  EXPECT_EQ(nvml.why_not(), "");
  ASSERT_EQ(nvml.num_gpus(), 2);
  const std::optional<GpuFigures> gpu = nvml.gpu(0);
  ASSERT_TRUE(gpu);
  EXPECT_EQ(gpu->name, "Fake RTX 4090");
  EXPECT_EQ(gpu->pci_bus_id, "00000000:3B:00.0");
  ASSERT_TRUE(gpu->memory);
  EXPECT_EQ(gpu->memory->total, 24 * kGiB);
  EXPECT_EQ(gpu->memory->used, 9 * kGiB);
  EXPECT_EQ(gpu->memory->free, 14 * kGiB);
  EXPECT_EQ(gpu->memory->reserved, kGiB);
  EXPECT_FALSE(gpu->is_divided);
  EXPECT_EQ(gpu->utilisation, 97);
  EXPECT_EQ(gpu->memory_utilisation, 41);
  EXPECT_EQ(gpu->temperature, 71);
  EXPECT_EQ(gpu->power, 310.5);
  EXPECT_EQ(gpu->power_limit, 450.0);
  EXPECT_EQ(gpu->sm_clock, 2520);
  EXPECT_EQ(gpu->memory_clock, 10501);
}

TEST(Nvml, ListsEachProcessOnce) {
  const std::optional<GpuFigures> gpu = Nvml(kFake).gpu(0);
  ASSERT_TRUE(gpu && gpu->processes);
  ASSERT_EQ(gpu->processes->size(), 2u);
  EXPECT_EQ(gpu->processes->at(0).pid, 999);
  EXPECT_EQ(gpu->processes->at(0).memory_used, kGiB + 1);  // the larger of its two figures
  EXPECT_EQ(gpu->processes->at(1).pid, 4711);
  EXPECT_EQ(gpu->processes->at(1).memory_used, 7 * kGiB);
}

TEST(Nvml, ListsManyProcesses) {
  ::setenv("FAKE_NVML_PROCESSES", "100", 1);
  const std::optional<GpuFigures> gpu = Nvml(kFake).gpu(0);
  ::unsetenv("FAKE_NVML_PROCESSES");
  ASSERT_TRUE(gpu && gpu->processes);
  ASSERT_EQ(gpu->processes->size(), 102u);
  EXPECT_FALSE(gpu->processes->back().memory_used);  // the driver does not say
}

TEST(Nvml, FindsAGpuByItsBusId) {
  const Nvml nvml(kFake);
  ASSERT_TRUE(nvml.gpu("0000:AF:00.0"));
  EXPECT_EQ(nvml.gpu("0000:AF:00.0")->name, "Fake vGPU");
  EXPECT_EQ(nvml.memory_used("0000:AF:00.0"), 9 * kGiB);
}

TEST(Nvml, KnowsNoGpuThatIsNotThere) {
  const Nvml nvml(kFake);
  EXPECT_FALSE(nvml.gpu(2));
  EXPECT_FALSE(nvml.gpu("0000:01:00.0"));
  EXPECT_FALSE(nvml.gpu(""));
  EXPECT_FALSE(nvml.memory_used("0000:01:00.0"));
}

TEST(Nvml, LeavesOutWhatAGpuDoesNotTell) {
  const std::optional<GpuFigures> gpu = Nvml(kFake).gpu(1);
  ASSERT_TRUE(gpu);
  EXPECT_TRUE(gpu->memory);
  EXPECT_FALSE(gpu->utilisation || gpu->memory_utilisation || gpu->temperature || gpu->power ||
               gpu->power_limit || gpu->sm_clock || gpu->memory_clock || gpu->processes);
}

TEST(Nvml, LeavesOutWhatALibraryHasNoFunctionFor) {
  const Nvml nvml(kBare);
  EXPECT_EQ(nvml.why_not(), "");
  ASSERT_EQ(nvml.num_gpus(), 1);
  const std::optional<GpuFigures> gpu = nvml.gpu(0);
  ASSERT_TRUE(gpu && gpu->memory);
  EXPECT_EQ(gpu->memory->used, 600);
  EXPECT_EQ(gpu->name, "");
  EXPECT_FALSE(gpu->utilisation || gpu->temperature || gpu->power || gpu->processes);
  EXPECT_FALSE(nvml.gpu("0000:3B:00.0"));
}

// The figures by bus id are of no instance, and the whole GPU is nobody's.
TEST(Nvml, HasNoMemoryOfAGpuThatIsDivided) {
  ::setenv("FAKE_NVML_MIG", "1", 1);
  const Nvml nvml(kFake);
  const std::optional<GpuFigures> gpu = nvml.gpu(0);
  const std::optional<int64_t> used = nvml.memory_used("0000:3B:00.0");
  ::unsetenv("FAKE_NVML_MIG");
  ASSERT_TRUE(gpu);
  EXPECT_TRUE(gpu->is_divided);
  EXPECT_FALSE(gpu->memory || used);
}

TEST(Nvml, SaysWhyItIsNotThere) {
  const Nvml absent("/absent/libnvidia-ml.so.1");
  EXPECT_EQ(absent.why_not(),
            "there is no NVML (/absent/libnvidia-ml.so.1 comes with the NVIDIA driver)");
  EXPECT_EQ(absent.num_gpus(), 0);
  EXPECT_FALSE(absent.gpu(0));
  EXPECT_FALSE(absent.memory_used("0000:3B:00.0"));

  const testing::TempDir dir;
  dir.write("libnvidia-ml.so.1", "no library");
  EXPECT_NE(Nvml(dir / "libnvidia-ml.so.1").why_not(), "");
}

TEST(Nvml, SaysWhyItDoesNotStart) {
  ::setenv("FAKE_NVML_INIT", "9", 1);
  const Nvml nvml(kFake);
  ::unsetenv("FAKE_NVML_INIT");
  EXPECT_EQ(nvml.why_not(), "NVML does not start (Driver Not Loaded)");
  EXPECT_EQ(nvml.num_gpus(), 0);
  EXPECT_FALSE(nvml.gpu(0));
  EXPECT_FALSE(nvml.gpu("0000:3B:00.0"));
}

}  // namespace
}  // namespace rung
