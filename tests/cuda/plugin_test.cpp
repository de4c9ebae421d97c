// The program with its plugin on a machine that seems to have a driver: what it says and returns.
//
// Most of it needs NVIDIA's libraries (RUNG_WITH_CUDA=1 scripts/bootstrap) and is passed over
// without them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/command/program.h"

namespace rung::testing {
namespace {

using Settings = std::map<std::string, std::string>;  // environment variables

const bool has_nvidia_libraries = std::filesystem::exists(RUNG_NVIDIA_LIBRARIES);

class Plugin : public ::testing::Test {
 protected:
  ProgramResult train(const std::string& device, const Settings& settings) {
    ::setenv("LD_LIBRARY_PATH", RUNG_FAKE_DRIVER_FOLDER, 1);
    for (const auto& [name, value] : settings) ::setenv(name.c_str(), value.c_str(), 1);
    ProgramResult result =
        run_program(folder_, {"train", "run.yaml", "--set", "device=" + device, "--set",
                              "compute_dtype=bf16", "--set", "max_steps=1"});
    for (const auto& [name, value] : settings) ::unsetenv(name.c_str());
    ::unsetenv("LD_LIBRARY_PATH");
    return result;
  }

  // `device: cuda` is refused with this line, and `auto` goes on on the CPU and says why.
  void expect_refusal(const Settings& settings, int code, const std::string& line,
                      const std::string& reason) {
    expect_failure(train("cuda", settings), code, line);
    const ProgramResult result = train("auto", settings);
    EXPECT_EQ(result.code, 0) << result.err;
    const std::vector<std::string> lines = result.error_lines();
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.front(), "device    CPU (" + reason + ")");
  }

  ProgramFolder folder_;
};

class PluginWithLibraries : public Plugin {
 protected:
  void SetUp() override {
    if (!has_nvidia_libraries) GTEST_SKIP() << "there is no " << RUNG_NVIDIA_LIBRARIES;
  }
  // A driver that starts, with these GPUs.
  static Settings gpus(Settings settings) {
    settings["LD_PRELOAD"] = RUNG_FAKE_RUNTIME;
    return settings;
  }
};

TEST_F(Plugin, SaysWhereNvidiasLibrariesComeFrom) {
  if (has_nvidia_libraries) GTEST_SKIP() << "they are there";
  const ProgramResult result = train("cuda", {});
  expect_failure(result, 3, "error: librung_cuda.so cannot be loaded: got lib");
  expect_failure(result, 3, "scripts/bootstrap installs NVIDIA's libraries");
  EXPECT_EQ(train("auto", {}).code, 0);
}

TEST_F(PluginWithLibraries, RefusesADriverThatIsTooOld) {
  expect_refusal({{"RUNG_FAKE_DRIVER_VERSION", "12080"}}, 3,
                 "the NVIDIA driver is too old: got one for CUDA 12.8; install one for CUDA 13",
                 "the NVIDIA driver is too old: one for CUDA 12.8");
}

TEST_F(PluginWithLibraries, RefusesADriverWithoutAGpu) {
  expect_refusal({{"RUNG_FAKE_DRIVER_REFUSAL", "100"}}, 3,
                 "there is no usable GPU: got no CUDA-capable device is detected; see nvidia-smi",
                 "there is no usable GPU: no CUDA-capable device is detected");
}

TEST_F(PluginWithLibraries, RefusesAGpuThatIsNotThere) {
  expect_failure(train("cuda:2", gpus({{"RUNG_FAKE_GPUS", "2"}})), 3,
                 "there is no such GPU: got cuda:2; use one of cuda:0 .. cuda:1");
}

TEST_F(PluginWithLibraries, RefusesAnArchitectureThatItHasNoKernelsFor) {
  expect_refusal(gpus({{"RUNG_FAKE_GPU_SM", "75"}}), 3,
                 "this build has no kernels for the GPU: got Fake GPU (sm_75); it carries sm_80",
                 "this build has no kernels for the GPU: Fake GPU (sm_75)");
}

TEST_F(PluginWithLibraries, RefusesAGpuInExclusiveUse) {
  expect_refusal(gpus({{"RUNG_FAKE_GPU_REFUSAL", "46"}}), 3,
                 "the GPU cannot be used: got CUDA-capable device(s) is/are busy or unavailable; "
                 "see nvidia-smi",
                 "the GPU cannot be used: CUDA-capable device(s) is/are busy or unavailable");
}

TEST_F(PluginWithLibraries, RefusesAGpuThatIsFull) {
  expect_refusal(gpus({{"RUNG_FAKE_GPU_REFUSAL", "2"}}), 4,
                 "the GPU's memory is full; see nvidia-smi", "the GPU's memory is full");
}

}  // namespace
}  // namespace rung::testing
