#include "training/bench_report.h"

#include <gtest/gtest.h>

#include <string>

namespace rung::training {
namespace {

BenchResult example() {
  BenchResult result{.model = "llama-3.1-8b",
                     .device = "CPU",
                     .num_threads = 2,
                     .compute = c10::kBFloat16,
                     .gemm = c10::kFloat,
                     .num_blocks = 32,
                     .num_recomputed = 3,
                     .num_warmup = 1,
                     .tokens = 4096,
                     .seconds = {4.0, 1.0, 2.0},
                     .flops = {.linears = 3e12, .head = 1e12},
                     .gemm_rate = {.size = 2048, .flops_per_second = 8e12},
                     .memory = {.limit = int64_t{24} << 30,
                                .planned_peak = int64_t{3} << 30,
                                .held_peak = int64_t{2} << 30,
                                .tensor_peak = int64_t{1} << 30}};
  result.config.lora_r = 16;
  result.config.micro_batch_size = 2;
  return result;
}

TEST(BenchReport, NamesTheFigureByEverythingThatDecidesIt) {
  BenchResult result = example();
  EXPECT_EQ(figure_name(result), "llama-3.1-8b/nf4/r16/2x2048/24GiB");
  result.base = model::BaseFormat::kNf4DoubleQuant;
  result.memory.limit = (int64_t{24} << 30) - (int64_t{1} << 29);
  EXPECT_EQ(figure_name(result), "llama-3.1-8b/nf4-double/r16/2x2048/23.5GiB");
  result.base = model::BaseFormat::kDense;
  result.memory.limit = int64_t{200} << 20;
  EXPECT_EQ(figure_name(result), "llama-3.1-8b/bf16/r16/2x2048/200MiB");
}

TEST(BenchReport, GivesMediansAndBoundsInJson) {
  const Json json = bench_json(example());
  EXPECT_EQ(json["device"], "CPU");
  const Json& figure = json["figures"][0];
  EXPECT_EQ(figure["tokens_per_second"], 2048.0);
  EXPECT_EQ(figure["tokens_per_second_min"], 1024.0);
  EXPECT_EQ(figure["tokens_per_second_max"], 4096.0);
  EXPECT_EQ(figure["tflops"], 2.0);
  EXPECT_EQ(figure["gemm_tflops"], 8.0);
  EXPECT_EQ(figure["gemm_share"], 0.25);
  EXPECT_EQ(figure["peak_memory"], int64_t{1} << 30);
  EXPECT_EQ(figure["held_peak"], int64_t{2} << 30);
  EXPECT_EQ(figure["recomputed_blocks"], 3);
}

TEST(BenchReport, TakesTheMeanOfTheMiddleTwoOfAnEvenNumber) {
  BenchResult result = example();
  result.seconds = {1.0, 2.0, 4.0, 4.0};
  EXPECT_EQ(bench_json(result)["figures"][0]["tokens_per_second"], (1024.0 + 2048.0) / 2);
}

TEST(BenchReport, ShowsPlannedAndMeasuredMemoryInTheTable) {
  const std::string text = bench_text(example());
  for (const char* words :
       {"peak memory        2.0 GiB   planned 3.0 GiB, limit 24.0 GiB",
        "  of tensors       1.0 GiB", "3 of 32 blocks recomputed", "the steps reach 25 % of it"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
  BenchResult result = example();
  result.memory.tensor_peak = result.memory.held_peak;  // as on a CPU
  EXPECT_EQ(bench_text(result).find("of tensors"), std::string::npos);
}

TEST(BenchReport, SaysHowOftenTheAllocatorRanDry) {
  BenchResult result = example();
  EXPECT_EQ(bench_text(result).find("ran dry"), std::string::npos);
  result.memory.num_alloc_retries = 3;
  EXPECT_NE(bench_text(result).find("  retries                3   times the allocator ran dry"),
            std::string::npos);
  EXPECT_EQ(bench_json(result)["figures"][0]["alloc_retries"], 3);
}

TEST(BenchReport, EscapesTheNameOfAFolder) {
  BenchResult result = example();
  result.model = "\x1b[31m";
  EXPECT_EQ(bench_text(result).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace rung::training
