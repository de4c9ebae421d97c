// What is advised where a step does not fit: only what helps, with the figures that come true.
#include "training/does_not_fit.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/data_file.h"
#include "base/units.h"
#include "format/shape_file.h"
#include "memory/counting_allocator.h"
#include "tests/support/expect_error.h"
#include "tests/training/planned_rows.h"

namespace rung::training {
namespace {

using rung::testing::error_of;
using rung::testing::kUnlimited;

class MemoryAdvice : public rung::testing::PlannedRows {
 protected:
  MemoryAdvice()
      : PlannedRows(rung::testing::tiny_llama(),
                    {.count = 16, .length = 128, .micro_batch_size = 8}) {
    config_.lora_r = 8;
    config_.fit = "off";  // which leaves splitting to the advice
  }

  // What the step takes with every block recomputed.
  int64_t least_peak() {
    const Recompute before =
        std::exchange(config_.gradient_checkpointing, Recompute{.mode = Recompute::Mode::kAll});
    const int64_t peak = plan_run(request(kUnlimited)).train_peak;
    config_.gradient_checkpointing = before;
    return peak;
  }

  std::string advice(int64_t limit) { return memory_advice(request(limit)); }
};

TEST_F(MemoryAdvice, NamesWhatAChangeTakes) {
  const std::string text = advice(least_peak() - 1);
  config_.micro_batch_size = 1;
  EXPECT_NE(text.find("micro_batch_size: 1 with gradient_accumulation_steps: 8 (" +
                      format_bytes(least_peak()) + ")"),
            std::string::npos)
      << text;
}

TEST_F(MemoryAdvice, TheLargestSavingComesFirst) {
  const std::string text = advice(least_peak() - 1);
  ASSERT_TRUE(text.starts_with("it fits with fit: auto")) << text;
  EXPECT_LT(text.find("sequence_len: 64"), text.find("lora_r: 4")) << text;
}

TEST_F(MemoryAdvice, LeavesOutWhatCannotHelp) {
  config_.micro_batch_size = 1;
  config_.adapter = AdapterKind::kQlora;
  config_.load_in_4bit = true;
  config_.bnb_4bit_use_double_quant = true;
  const std::string text = advice(least_peak() - 1);
  for (const char* words : {"micro_batch_size", "qlora", "double_quant", "bf16", "checkpointing"}) {
    EXPECT_EQ(text.find(words), std::string::npos) << text;
  }
  EXPECT_NE(text.find("sequence_len: 64"), std::string::npos) << text;
}

// Micro-batches are split already.
TEST_F(MemoryAdvice, LeavesOutWhatTheLadderDoes) {
  config_.fit = "auto";
  const std::string text = advice(least_peak() / 8);
  EXPECT_EQ(text.find("micro_batch_size"), std::string::npos) << text;
  EXPECT_NE(text.find("sequence_len: 64"), std::string::npos) << text;
}

TEST_F(MemoryAdvice, ComesTrue) {
  const int64_t limit = least_peak() * 3 / 4;
  const std::string text = advice(limit);
  ASSERT_NE(text.find("sequence_len: 64"), std::string::npos) << text;
  config_.sequence_len = 64;
  for (data::Example& example : examples_) {
    example.input_ids.resize(64);
    example.labels.resize(64);
  }
  EXPECT_LE(plan_run(request(limit)).train_peak, limit);
}

TEST_F(MemoryAdvice, JoinsChangesWhereOneIsNotEnough) {
  config_.micro_batch_size = 1;
  const int64_t shorter = [&] {
    config_.sequence_len = 64;
    return least_peak();
  }();
  config_.sequence_len = 128;
  const std::string text = advice(shorter * 3 / 4);
  EXPECT_NE(text.find(", together, take "), std::string::npos) << text;
}

TEST_F(MemoryAdvice, SaysWhatToRaiseWhereNothingIsEnough) {
  EXPECT_NE(advice(1000).find(", or take a bigger machine, or take a smaller model"),
            std::string::npos);
  config_.memory_limit = 1000;
  const std::string text = advice(1000);
  EXPECT_TRUE(text.starts_with("even ")) << text;
  EXPECT_NE(text.find(": raise memory_limit to "), std::string::npos) << text;
  // The limit that it names for the run as it is does.
  const std::string words = "without these changes to ";
  const size_t at = text.find(words);
  ASSERT_NE(at, std::string::npos) << text;
  const int64_t mib = std::stoll(text.substr(at + words.size()));
  config_.memory_limit = mib << 20;
  EXPECT_NO_THROW(plan_run(request(mib << 20)));
}

TEST_F(MemoryAdvice, AFixedNumberOfBlocksMayBeLeftToThePlan) {
  config_.gradient_checkpointing = {.mode = Recompute::Mode::kNone};
  const int64_t limit = plan_run(request(kUnlimited)).train_peak - 1;
  EXPECT_NE(advice(limit).find("gradient_checkpointing: auto"), std::string::npos);
}

TEST_F(MemoryAdvice, StandsInTheErrorOfThePlan) {
  const int64_t least = least_peak();
  const std::string message =
      error_of(ExitCode::kDoesNotFit, [&] { plan_run(request(least - 1)); });
  EXPECT_TRUE(message.starts_with("a training step does not fit, even with every block recomputed"))
      << message;
  EXPECT_NE(message.find("got " + format_bytes(least)), std::string::npos) << message;
  EXPECT_NE(message.find("it fits with "), std::string::npos) << message;
}

// Whatever the limit here: on a GPU of the table, it would.
TEST_F(MemoryAdvice, NamesTheSmallestGpuThatWouldDo) {
  const std::string text = advice(least_peak() - 1);
  EXPECT_NE(text.find("; the smallest GPU of the table that would do is a10 "), std::string::npos)
      << text;
}

TEST(MemoryAdviceOfALargeModel, NamesALargeGpu) {
  const auto shapes = format::read_shapes(find_data_file("shapes.yaml"));
  const format::ModelConfig model = format::find_shape(shapes, "llama-3-70b").config;
  RunConfig config;
  config.load_in_4bit = true;
  config.gradient_checkpointing = {.mode = Recompute::Mode::kAll};
  const AdapterPlan adapter = plan_adapter(config, model);
  std::vector<data::Example> examples(1);
  examples[0].input_ids.assign(512, 1);
  examples[0].labels = examples[0].input_ids;
  const std::string text = memory_advice({.config = config,
                                          .model = model,
                                          .adapter = adapter.options,
                                          .examples = examples,
                                          .validation = {},
                                          .memory_limit = int64_t{1} << 30});
  EXPECT_NE(text.find("that would do is l40s "), std::string::npos) << text;
}

TEST(DoesNotFit, NamesTheLimitAndItsPlace) {
  const auto message = [](const RunConfig& config) {
    return error_of(ExitCode::kDoesNotFit, [&] {
      throw does_not_fit(config, {.what = "it does not fit", .peak = 3072, .limit = 2048});
    });
  };
  EXPECT_EQ(message({}),
            "it does not fit: got 3.0 KiB, expected at most 2.0 KiB (what is free; there is no "
            "memory_limit)");
  RunConfig config;
  config.memory_limit = 2048;
  config.memory_limit_place = "c.yaml:7";
  EXPECT_EQ(message(config),
            "it does not fit: got 3.0 KiB, expected at most 2.0 KiB (memory_limit) (c.yaml:7)");
  config.memory_limit = 4096;
  EXPECT_EQ(message(config),
            "it does not fit: got 3.0 KiB, expected at most 2.0 KiB of memory_limit 4.0 KiB "
            "(c.yaml:7)");
}

}  // namespace
}  // namespace rung::training
