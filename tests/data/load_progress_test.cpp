#include "data/load_progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>

#include "data/dataset.h"
#include "tests/data/byte_tokenizer.h"

namespace rung::data {
namespace {

using rung::testing::TempDir;

// A clock that the test sets.
struct Loading {
  explicit Loading(int64_t total_bytes, WaitingLineOptions options = {})
      : progress(out, total_bytes, with_clock(std::move(options))) {}

  WaitingLineOptions with_clock(WaitingLineOptions options) {
    options.clock = [this] { return seconds; };
    return options;
  }

  double seconds = 0.0;
  std::ostringstream out;
  LoadProgress progress;
};

TEST(LoadProgress, IsSilentWhereItTakesAMoment) {
  Loading loading(100);
  loading.seconds = 0.9;
  loading.progress.add(10, 50);
  loading.seconds = 2;
  loading.progress.finish();
  EXPECT_EQ(loading.out.str(), "");
}

TEST(LoadProgress, SaysHowFarItIsAndHowLongItTook) {
  Loading loading(1000);
  loading.seconds = 3;
  loading.progress.add(1024, 250);
  loading.seconds = 12.5;
  loading.progress.add(2048, 750);
  loading.progress.finish();
  EXPECT_EQ(loading.out.str(),
            "data      1,024 rows tokenised, 25 %, 9.00 s left\n"
            "data      3,072 rows tokenised in 12.5 s\n");
}

TEST(LoadProgress, APlainLineComesEachTenSeconds) {
  Loading loading(1000);
  for (loading.seconds = 0; loading.seconds < 30; loading.seconds += 0.5) {
    loading.progress.add(1, 10);
  }
  const std::string text = loading.out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);  // after 1, 11 and 21 s
}

TEST(LoadProgress, SaysNoShareWhereTheSizeIsNotKnown) {
  Loading loading(0);
  loading.seconds = 2;
  loading.progress.add(1, 10);
  EXPECT_EQ(loading.out.str(), "data      1 row tokenised\n");
}

TEST(LoadProgress, NeverPassesTheWhole) {
  Loading loading(10);
  loading.seconds = 2;
  loading.progress.add(1, 11);
  EXPECT_EQ(loading.out.str(), "data      1 row tokenised, 100 %, 0.00 s left\n");
}

TEST(LoadProgress, RedrawsTheLineOfATerminal) {
  Loading loading(100, {.in_place = true, .width = 30});
  loading.seconds = 1;
  loading.progress.add(1, 10);
  loading.seconds = 1.05;
  loading.progress.add(1, 10);  // too soon to be seen
  loading.seconds = 2;
  loading.progress.add(1, 30);
  loading.progress.finish();
  EXPECT_EQ(loading.out.str(),
            "\rdata      1 row tokenised, 10"
            "\rdata      3 rows tokenised, 5"
            "\rdata      3 rows tokenised in\n");
}

TEST(LoadProgress, EndsTheLineWhereLoadingFails) {
  std::ostringstream out;
  {
    LoadProgress progress(out, 0, {.in_place = true, .quiet_seconds = 0});
    progress.add(1, 1);
  }
  EXPECT_EQ(out.str().back(), '\n');
}

TEST(LoadProgress, CountsEveryRecordAndByte) {
  const TempDir dir;
  const text::Tokenizer tokenizer = rung::testing::byte_tokenizer();
  RunConfig run;
  run.datasets = {{.path = dir.write("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n"),
                   .type = DatasetType::kCompletion}};
  run.test_datasets = {
      {.path = dir.write("b.json", "[{\"text\":\"c\"}]"), .type = DatasetType::kCompletion}};
  EXPECT_EQ(bytes_of(run.datasets), 26);
  EXPECT_EQ(bytes_of({{.path = dir / "absent.jsonl"}}), 0);
  Loading loading(bytes_of(run.datasets) + bytes_of(run.test_datasets));
  loading.seconds = 1;
  load_run_data({.run = run, .tokenizer = tokenizer, .vocab_size = rung::testing::kByteVocab},
                &loading.progress);
  loading.progress.finish();
  EXPECT_EQ(loading.out.str(),
            "data      2 rows tokenised, 65 %, 0.54 s left\n"
            "data      3 rows tokenised in 1.00 s\n");
}

}  // namespace
}  // namespace rung::data
