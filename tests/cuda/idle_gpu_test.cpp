// The program on a GPU that computes nothing (idle_gpu.cpp): what happens on the host, of the
// plugin and of LibTorch's CUDA part, for real.
//
// Needs NVIDIA's libraries (RUNG_WITH_CUDA=1 scripts/bootstrap) and is passed over without them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/command/program.h"

namespace rung::testing {
namespace {

using Arguments = std::vector<std::string>;

class IdleGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(RUNG_NVIDIA_LIBRARIES)) {
      GTEST_SKIP() << "there is no " << RUNG_NVIDIA_LIBRARIES;
    }
    ::setenv("LD_LIBRARY_PATH", RUNG_FAKE_DRIVER_FOLDER, 1);
    ::setenv("LD_PRELOAD", RUNG_IDLE_GPU, 1);
  }
  void TearDown() override {
    ::unsetenv("LD_PRELOAD");
    ::unsetenv("LD_LIBRARY_PATH");
  }

  ProgramResult run(Arguments arguments, const Arguments& settings) {
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    return run_program(folder_, arguments);
  }

  ProgramFolder folder_;
};

TEST_F(IdleGpu, TrainsInEveryWay) {
  const std::vector<Arguments> ways = {{"adapter=lora", "compute_dtype=bf16"},
                                       {"adapter=qlora", "compute_dtype=fp16"},
                                       {"adapter=qlora", "compute_dtype=fp32"},
                                       {"adapter=qlora", "bnb_4bit_use_double_quant=true"},
                                       {"adapter=qlora", "deterministic=true"},
                                       {"adapter=qlora", "lora_dropout=0.1"},
                                       {"adapter=qlora", "optimizer=adamw_8bit"},
                                       {"gradient_checkpointing=true", "tiled_mlp=true"},
                                       {"gradient_checkpointing=1", "activation_offloading=true"},
                                       {"adapter=qlora", "layer_offloading=true"}};
  for (const Arguments& way : ways) {
    Arguments settings = {"device=cuda", "max_steps=2", "output_dir=out-" + way.back()};
    settings.insert(settings.end(), way.begin(), way.end());
    const ProgramResult result = run({"train", "run.yaml"}, settings);
    EXPECT_EQ(result.code, 0) << way.back() << '\n' << result.err;
    EXPECT_NE(result.err.find("Idle GPU (sm_90)"), std::string::npos) << result.err;
  }
}

// LibTorch's own allocator, asked by its own operators, holds what the step on shapes alone has
// said, but for the rest of a page of either of its two pools, and page tables, which it has not.
TEST_F(IdleGpu, AnEightBillionModelHoldsWhatIsPlanned) {
  constexpr int64_t kPages = int64_t{24} << 20;
  const std::vector<Arguments> ways = {
      {},
      {"gradient_checkpointing=true"},
      {"gradient_checkpointing=16", "activation_offloading=true"},
      {"memory_limit=9GiB"},
      {"sequence_len=16384", "micro_batch_size=1", "gradient_checkpointing=true", "tiled_mlp=true"},
      {"deterministic=true", "lora_dropout=0.1"},
      {"adapter=lora"}};
  for (const Arguments& way : ways) {
    const std::string name = way.empty() ? "" : way.front();
    // cuDNN finds that this is no GPU.
    Arguments settings = {"device=cuda", "compute_dtype=bf16", "attention=flash"};
    settings.insert(settings.end(), way.begin(), way.end());
    const ProgramResult result =
        run({"bench", "--shape", "llama-3.1-8b", "--steps", "2", "--json"}, settings);
    ASSERT_EQ(result.code, 0) << name << '\n' << result.err;
    const Json figure = Json::parse(result.out).at("figures")[0];
    const auto held = figure.at("held_peak").get<int64_t>();
    const auto planned = figure.at("planned_peak").get<int64_t>();
    EXPECT_LE(held, planned + kPages) << name;
    EXPECT_GE(held, planned - kPages) << name;
  }
}

}  // namespace
}  // namespace rung::testing
