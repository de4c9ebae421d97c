// The program on a GPU: the verbs from a configuration to an adapter, against the same on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace rung::testing {

// `rung` lies beside this program (scripts/gpu_check bundle), wherever that is.
inline std::string program_beside_this() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "rung";
}

}  // namespace rung::testing

#define RUNG_BINARY ::rung::testing::program_beside_this().c_str()
#include "tests/command/program.h"

namespace rung::testing {
namespace {

using Arguments = std::vector<std::string>;

class RunOnGpu : public ::testing::Test {
 protected:
  ProgramResult run(Arguments arguments, const Arguments& settings = {}) {
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    return run_program(folder_, arguments);
  }

  // Trains into `output_dir` there.
  void train(const std::string& output_dir, Arguments settings, const Arguments& more = {}) {
    settings.insert(settings.end(), {"memory_limit=0", "output_dir=" + output_dir});
    Arguments arguments = {"train", "run.yaml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run(arguments, settings);
    ASSERT_EQ(result.code, 0) << output_dir << '\n' << result.err;
    EXPECT_EQ(result.err.find("Warning"), std::string::npos) << "of LibTorch\n" << result.err;
  }

  std::vector<double> losses(const std::string& output_dir) const {
    std::vector<double> values;
    std::istringstream rows(folder_.read(output_dir + "/metrics.jsonl"));
    for (std::string line; std::getline(rows, line);) {
      const Json row = Json::parse(line);
      if (row.at("kind") == "train") values.push_back(row.at("loss").get<double>());
    }
    return values;
  }

  ProgramFolder folder_;
};

struct Way {
  Arguments settings;
  double tolerance;  // of a loss, relative: sums in another order, and roundings of 16 bits
};

TEST_F(RunOnGpu, LearnsWhatTheCpuLearns) {
  const std::vector<Way> ways = {
      {{"adapter=lora", "compute_dtype=fp32"}, 1e-4},
      {{"adapter=qlora", "compute_dtype=fp32"}, 1e-4},
      {{"adapter=lora", "compute_dtype=bf16"}, 2e-2},
      {{"adapter=qlora", "compute_dtype=fp16"}, 1e-2},
      {{"adapter=qlora", "compute_dtype=bf16", "bnb_4bit_use_double_quant=true"}, 2e-2},
      {{"adapter=qlora", "compute_dtype=bf16", "deterministic=true"}, 2e-2},
      {{"adapter=qlora", "compute_dtype=bf16", "lora_dropout=0.1"}, 2e-2},
      {{"adapter=qlora", "compute_dtype=bf16", "optimizer=adamw_8bit"}, 2e-2},
      {{"adapter=qlora", "compute_dtype=bf16", "sample_packing=true", "micro_batch_size=2"}, 2e-2},
      {{"compute_dtype=bf16", "gradient_checkpointing=true", "tiled_mlp=true"}, 2e-2},
      {{"compute_dtype=bf16", "gradient_checkpointing=1", "activation_offloading=true"}, 2e-2},
      {{"adapter=qlora", "compute_dtype=bf16", "layer_offloading=true"}, 2e-2}};
  for (size_t i = 0; i < ways.size(); ++i) {
    const std::string name = std::to_string(i) + " " + ways[i].settings.back();
    const std::string number = std::to_string(i);
    Arguments on_cpu = ways[i].settings;
    on_cpu.push_back("device=cpu");
    Arguments on_gpu = ways[i].settings;
    on_gpu.push_back("device=cuda");
    ASSERT_NO_FATAL_FAILURE(train("cpu" + number, on_cpu));
    ASSERT_NO_FATAL_FAILURE(train("gpu" + number, on_gpu));
    const std::vector<double> expected = losses("cpu" + number);
    const std::vector<double> got = losses("gpu" + number);
    ASSERT_EQ(got.size(), expected.size()) << name;
    double worst = 0.0;
    for (size_t step = 0; step < got.size(); ++step) {
      ASSERT_TRUE(std::isfinite(got[step])) << name;
      worst = std::max(worst, std::abs(got[step] - expected[step]) / expected[step]);
    }
    EXPECT_LE(worst, ways[i].tolerance) << name;
    EXPECT_LT(got.back(), got.front()) << name;
  }
}

TEST_F(RunOnGpu, GoesOnFromACheckpointWithTheSameBits) {
  const Arguments settings = {"device=cuda", "compute_dtype=bf16", "adapter=qlora",
                              "deterministic=true", "save_steps=2"};
  train("whole", settings);
  train("resumed", settings, {"--resume", "whole/checkpoints/step-000002"});
  EXPECT_EQ(losses("resumed").size(), 2u) << "of the two steps that were left";
  EXPECT_EQ(folder_.read("resumed/adapter_model.safetensors"),
            folder_.read("whole/adapter_model.safetensors"));
}

TEST_F(RunOnGpu, EvaluatesAnswersAndMerges) {
  train("out", {"device=cuda", "compute_dtype=bf16"});
  const auto loss_on = [&](const std::string& device) {
    const ProgramResult result =
        run({"eval", "run.yaml", "--adapter", "out", "--json"},
            {"device=" + device, "compute_dtype=bf16", "val_set_size=2", "memory_limit=0"});
    EXPECT_EQ(result.code, 0) << result.err;
    return result.code == 0 ? Json::parse(result.out).at("loss").get<double>() : 0.0;
  };
  const double expected = loss_on("cpu");
  EXPECT_NEAR(loss_on("cuda"), expected, 2e-2 * expected);
  const ProgramResult answer =
      run({"generate", "model", "--adapter", "out", "--prompt", "Is it?", "--max-new-tokens", "8"});
  EXPECT_EQ(answer.code, 0) << answer.err;
  const ProgramResult merged = run({"merge", "model", "--adapter", "out", "--out", "merged"});
  EXPECT_EQ(merged.code, 0) << merged.err;
}

TEST_F(RunOnGpu, TellsOfTheGpuInTheRecord) {
  train("out", {"device=cuda", "compute_dtype=bf16"});
  const ProgramResult result = run({"monitor", "out", "--once", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json seen = Json::parse(result.out);
  EXPECT_EQ(seen.at("verdict"), "healthy") << result.out;
  EXPECT_NE(seen.dump().find("sm_"), std::string::npos) << "the GPU is not named: " << result.out;
}

TEST_F(RunOnGpu, RefusesWhatCannotBe) {
  const auto refused = [&](const Arguments& settings, int code, const std::string& words) {
    expect_failure(run({"train", "run.yaml"}, settings), code, words);
  };
  refused({"device=cuda", "memory_limit=1000GiB"}, 4, "memory_limit is above what is free");
  refused({"device=cuda", "memory_limit=100MiB"}, 4, "memory_limit leaves nothing for tensors");
  refused({"device=cuda:63"}, 3, "there is no such GPU");
}

}  // namespace
}  // namespace rung::testing
