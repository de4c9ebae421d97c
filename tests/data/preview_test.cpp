// What `rung data` prints.
#include "data/preview.h"

#include <gtest/gtest.h>

#include "tests/data/byte_tokenizer.h"

namespace rung::data {
namespace {

using rung::testing::byte_tokenizer;
using rung::testing::kEos;

Example question_and_answer() {
  return {.input_ids = {'Q', '?', 'A', '!', kEos},
          .labels = {kIgnore, kIgnore, 'A', '!', kEos},
          .source = "data.jsonl:7"};
}

Example of_length(int64_t length) {
  const std::vector<int32_t> ids(static_cast<size_t>(length), 'a');
  return {.input_ids = ids, .labels = ids};
}

TEST(MarkLearnt, BracketsWhatIsLearnt) {
  EXPECT_EQ(mark_learnt(question_and_answer(), byte_tokenizer(), Marks::kBrackets), "Q?⟦A!</s>⟧");
}

TEST(MarkLearnt, ColoursWhatIsLearnt) {
  EXPECT_EQ(mark_learnt(question_and_answer(), byte_tokenizer(), Marks::kColours),
            "\x1b[2mQ?\x1b[0m\x1b[1;32mA!</s>\x1b[0m");
}

TEST(MarkLearnt, NeverMarksTheFirstToken) {
  const Example example = {.input_ids = {'a', 'b'}, .labels = {'a', 'b'}};
  EXPECT_EQ(mark_learnt(example, byte_tokenizer(), Marks::kBrackets), "a⟦b⟧");
}

TEST(MarkLearnt, LetsNoControlCharactersThrough) {
  const Example example = {.input_ids = {0x1b, '[', '2', 'J'}, .labels = {-100, -100, -100, -100}};
  EXPECT_EQ(mark_learnt(example, byte_tokenizer(), Marks::kBrackets), "\\x1b[2J");
}

TEST(ShowExample, ShowsSourceIdsAndLabels) {
  EXPECT_EQ(show_example(question_and_answer(), byte_tokenizer(), Marks::kBrackets),
            "data.jsonl:7: 5 tokens, 3 learnt\nQ?⟦A!</s>⟧\nids: 81 63 65 33 257\n"
            "labels: -100x2 65 33 257\n");
}

TEST(RowJson, HasTheContractsKeys) {
  const Json row = row_json(3, question_and_answer(), byte_tokenizer());
  EXPECT_EQ(row["row"], 3);
  EXPECT_EQ(row["text"], "Q?A!</s>");
  EXPECT_EQ(row["input_ids"], Json({81, 63, 65, 33, 257}));
  EXPECT_EQ(row["labels"], Json({-100, -100, 65, 33, 257}));
}

TEST(LengthHistogram, CountsEveryExampleOnce) {
  const std::vector<LengthBin> bins =
      length_histogram({of_length(1), of_length(16), of_length(17), of_length(120)});
  ASSERT_EQ(bins.size(), 8u);
  EXPECT_EQ(bins[0].up_to, 16);
  EXPECT_EQ(bins[0].count, 2);
  EXPECT_EQ(bins[1].count, 1);
  EXPECT_EQ(bins[7].up_to, 128);
  EXPECT_EQ(bins[7].count, 1);
}

TEST(ReportBatches, CountsRowsStepsAndFilling) {
  RunConfig run;
  run.sequence_len = 8;
  run.micro_batch_size = 1;
  run.gradient_accumulation_steps = 2;
  run.sample_packing = true;
  const BatchReport report =
      report_batches({of_length(6), of_length(4), of_length(4), of_length(2), of_length(5)}, run);
  EXPECT_EQ(report.rows, 3);
  EXPECT_EQ(report.steps, 2);
  EXPECT_DOUBLE_EQ(report.packed_filled, 21.0 / 24.0);
}

TEST(ShowSummary, SaysWhatWasDropped) {
  DataSummary summary;
  summary.read = {.read = 5,
                  .kept = 2,
                  .too_long = 2,
                  .without_labels = 1,
                  .longest = 99,
                  .tokens = 40,
                  .supervised_tokens = 10};
  const std::string text = show_summary(summary, RunConfig());
  EXPECT_NE(text.find("records: 5 read, 2 kept, 2 dropped as longer than sequence_len, 1 dropped "
                      "with nothing to learn\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("tokens: 40, 10 learnt (25 %)"), std::string::npos) << text;
}

}  // namespace
}  // namespace rung::data
