// `rung bench` as a process.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/command/program.h"

namespace rung::command {
namespace {

using rung::testing::expect_failure;
using rung::testing::ProgramFolder;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::TempDir;

// Two short steps on the shape `tiny` with `more` arguments.
ProgramResult bench_tiny(const TempDir& dir, std::vector<std::string> more) {
  more.insert(more.begin(),
              {"bench", "--shape", "tiny", "--steps", "2", "--set", "sequence_len=64", "--set",
               "device=cpu", "--set", "num_threads=1", "--set", "memory_limit=256MiB"});
  return run_program(dir, more);
}

Json bench_json(const ProgramResult& result) {
  EXPECT_EQ(result.code, 0) << result.err;
  return Json::parse(result.out);
}

TEST(BenchProgram, PrintsATable) {
  const TempDir dir;
  const ProgramResult result = bench_tiny(dir, {});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("tiny/nf4/r16/2x64/256MiB\n")) << result.out;
  for (const char* words :
       {"CPU, 1 thread, activations in bf16", "2 steps of 128 tokens after 2 to warm up",
        "0 of 4 blocks recomputed", "tokens/s", "TFLOP/s", "peak memory"}) {
    EXPECT_NE(result.out.find(words), std::string::npos) << words << "\n" << result.out;
  }
  EXPECT_NE(result.err.find("step 2/2"), std::string::npos) << result.err;
}

TEST(BenchProgram, PrintsJsonWithTheAgreedKeys) {
  const TempDir dir;
  const Json json = bench_json(bench_tiny(dir, {"--json"}));
  EXPECT_EQ(json.at("device"), "CPU");
  EXPECT_EQ(json.at("settings").at("sequence_len"), 64);
  ASSERT_EQ(json.at("figures").size(), 1u);
  const Json& figure = json.at("figures")[0];
  EXPECT_EQ(figure.at("name"), "tiny/nf4/r16/2x64/256MiB");
  for (const char* key : {"tokens_per_second", "peak_memory", "tflops", "gemm_tflops"}) {
    EXPECT_GT(figure.at(key).get<double>(), 0.0) << key;
  }
  EXPECT_LE(figure.at("tokens_per_second_min"), figure.at("tokens_per_second"));
  EXPECT_LE(figure.at("tokens_per_second"), figure.at("tokens_per_second_max"));
  EXPECT_EQ(figure.at("seconds").size(), 2u);
}

TEST(BenchProgram, TakesThePlannedMemoryToTheByte) {
  const TempDir dir;
  for (const char* recompute : {"false", "true"}) {
    const Json json = bench_json(
        bench_tiny(dir, {"--json", "--set", std::string("gradient_checkpointing=") + recompute}));
    const Json& figure = json.at("figures")[0];
    EXPECT_EQ(figure.at("held_peak"), figure.at("planned_peak"));
  }
}

// With fit off nothing else is changed: two parts would do, too.
TEST(BenchProgram, RecomputesWhatTheLimitAsksFor) {
  const TempDir dir;
  const Json roomy = bench_json(bench_tiny(dir, {"--json"})).at("figures")[0];
  EXPECT_EQ(roomy.at("recomputed_blocks"), 0);
  const int64_t limit = roomy.at("planned_peak").get<int64_t>() - 1;
  const Json tight = bench_json(bench_tiny(dir, {"--json", "--set", "fit=off", "--set",
                                                 "memory_limit=" + std::to_string(limit)}))
                         .at("figures")[0];
  EXPECT_GT(tight.at("recomputed_blocks"), 0);
  EXPECT_LE(tight.at("held_peak"), limit);
  EXPECT_GT(tight.at("flops").at("recomputed"), 0.0);
}

TEST(BenchProgram, SaysWhatElseTheLimitAsksFor) {
  const TempDir dir;
  const Json roomy = bench_json(bench_tiny(dir, {"--json"})).at("figures")[0];
  const int64_t limit = roomy.at("planned_peak").get<int64_t>() - 1;
  const ProgramResult result = bench_tiny(dir, {"--set", "memory_limit=" + std::to_string(limit)});
  EXPECT_NE(result.err.find("plan      micro-batches in 2 parts, 0 of 4 blocks recomputed, peak"),
            std::string::npos)
      << result.err;
}

TEST(BenchProgram, RefusesALimitThatIsTooSmall) {
  const TempDir dir;
  expect_failure(bench_tiny(dir, {"--set", "memory_limit=64KiB"}), 4,
                 "a training step does not fit");
}

TEST(BenchProgram, ListsTheShapesWhereOneIsUnknown) {
  const TempDir dir;
  const ProgramResult result = run_program(dir, {"bench", "--shape", "gpt-5"});
  expect_failure(result, 2, "there is no shape of this name: got gpt-5, expected one of ");
  for (const char* name :
       {"smollm2-135m", "qwen3-0.6b", "qwen3-1.7b", "llama-3.1-8b", "llama-3-70b", "tiny"}) {
    EXPECT_NE(result.err.find(name), std::string::npos) << name;
  }
}

TEST(BenchProgram, TakesShapesFromAnotherFile) {
  const TempDir dir;
  dir.write("mine.yaml",
            "mine:\n  model_type: qwen2\n  hidden_size: 32\n  intermediate_size: 64\n"
            "  num_hidden_layers: 1\n  num_attention_heads: 2\n  num_key_value_heads: 1\n"
            "  vocab_size: 100\n");
  const ProgramResult result = run_program(dir, {"bench",
                                                 "--shapes",
                                                 "mine.yaml",
                                                 "--shape",
                                                 "mine",
                                                 "--steps",
                                                 "1",
                                                 "--set",
                                                 "sequence_len=33",
                                                 "--set",
                                                 "micro_batch_size=1",
                                                 "--set",
                                                 "adapter=lora",
                                                 "--set",
                                                 "compute_dtype=fp32",
                                                 "--set",
                                                 "lora_r=4",
                                                 "--set",
                                                 "memory_limit=256MiB",
                                                 "--set",
                                                 "device=cpu",
                                                 "--json"});
  EXPECT_EQ(bench_json(result).at("figures")[0].at("name"), "mine/fp32/r4/1x33/256MiB");
  expect_failure(run_program(dir, {"bench", "--shapes", "absent.yaml", "--shape", "mine"}), 3,
                 "absent.yaml");
}

TEST(BenchProgram, MeasuresTheModelOfAConfiguration) {
  const ProgramFolder dir;
  const std::vector<std::string> arguments = {"bench",  "run.yaml", "--steps",   "1",
                                              "--json", "--set",    "device=cpu"};
  const Json json = bench_json(run_program(dir, arguments));
  const Json& figure = json.at("figures")[0];
  EXPECT_EQ(figure.at("name"), "model/fp32/r4/1x96/256MiB");
  EXPECT_EQ(figure.at("held_peak"), figure.at("planned_peak"));
  EXPECT_FALSE(std::filesystem::exists(dir / "out"));
}

TEST(BenchProgram, TakesTheSettingsOfAConfigurationToAnotherShape) {
  const ProgramFolder dir;
  const Json json = bench_json(run_program(dir, {"bench", "run.yaml", "--shape", "tiny", "--steps",
                                                 "1", "--json", "--set", "device=cpu"}));
  EXPECT_EQ(json.at("figures")[0].at("name"), "tiny/fp32/r4/1x96/256MiB");
}

// A fresh adapter changes nothing, so the first losses are those of guessing.
TEST(BenchProgram, TrainsOnWhatIsNeitherZeroNorAFault) {
  const TempDir dir;
  const Json json = bench_json(bench_tiny(dir, {"--json"}));
  EXPECT_NEAR(json.at("figures")[0].at("loss").get<double>(), std::log(512.0), 0.3);
}

TEST(BenchProgram, CountsDoubleQuantisationInTheName) {
  const TempDir dir;
  const ProgramResult result = bench_tiny(dir, {"--set", "bnb_4bit_use_double_quant=true"});
  EXPECT_TRUE(result.out.starts_with("tiny/nf4-double/r16/2x64/256MiB\n")) << result.out;
}

TEST(BenchProgram, RefusesUseWithoutAnythingToMeasure) {
  const TempDir dir;
  expect_failure(run_program(dir, {"bench"}), 2, "neither a CONFIG nor a --shape");
  expect_failure(bench_tiny(dir, {"--set", "lora_r=0"}), 3, "lora_r: got 0");
  expect_failure(run_program(dir, {"bench", "--shape", "tiny", "--steps", "-1"}), 2,
                 "--steps is out of range");
}

}  // namespace
}  // namespace rung::command
