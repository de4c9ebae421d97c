#include "base/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/publish.h"
#include "tests/support/expect_error.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temp_dir.h"

namespace rung {
namespace {

using testing::TempDir;

TEST(MetricsWriter, AppendsOneLineARow) {
  const TempDir dir;
  MetricsWriter(dir / "m.jsonl").write({{"kind", "train"}, {"step", 1}});
  MetricsWriter(dir / "m.jsonl").write({{"step", 2}, {"text", "a\nb"}});
  EXPECT_EQ(dir.read("m.jsonl"),
            "{\"kind\":\"train\",\"step\":1}\n{\"step\":2,\"text\":\"a\\nb\"}\n");
}

TEST(MetricsWriter, NonFiniteNumbersAreNull) {
  const TempDir dir;
  MetricsWriter(dir / "m.jsonl")
      .write({{"loss", std::nan("")}, {"norm", std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(dir.read("m.jsonl"), "{\"loss\":null,\"norm\":null}\n");
}

TEST(MetricsWriter, RowsAreInTheFileAtOnce) {
  const TempDir dir;
  MetricsWriter writer(dir / "m.jsonl");
  writer.write({{"step", 1}});
  EXPECT_EQ(dir.read("m.jsonl"), "{\"step\":1}\n");
}

TEST(MetricsWriter, CutsATornLastLine) {
  const TempDir dir;
  dir.write("m.jsonl", "{\"step\":1}\n{\"ste" + std::string(10'000, 'x'));
  MetricsWriter(dir / "m.jsonl").write({{"step", 2}});
  EXPECT_EQ(dir.read("m.jsonl"), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(MetricsWriter, FullDiskIsDamaged) {
  const TempDir dir;
  MetricsWriter writer(dir / "m.jsonl");
  const testing::FileSizeLimit limit(100);
  testing::expect_error(ExitCode::kDamaged, "cannot be written", [&] {
    writer.write({{"text", std::string(500, 'x')}});
  });
}

TEST(TruncateMetrics, DropsLaterRowsOnly) {
  const TempDir dir;
  dir.write("m.jsonl",
            "{\"kind\":\"start\"}\n{\"step\":1}\n{\"step\":2}\n{\"kind\":\"eval\",\"step\":2}\n"
            "{\"step\":3}\n");
  truncate_metrics(dir / "m.jsonl", {.step = 2, .evaluated_step = 2});
  EXPECT_EQ(dir.read("m.jsonl"),
            "{\"kind\":\"start\"}\n{\"step\":1}\n{\"step\":2}\n{\"kind\":\"eval\",\"step\":2}\n");
}

TEST(TruncateMetrics, DropsAnEvaluationThatTheCheckpointDoesNotKnow) {
  const TempDir dir;
  dir.write("m.jsonl",
            "{\"kind\":\"eval\",\"step\":1}\n{\"kind\":\"train\",\"step\":2}\n"
            "{\"kind\":\"eval\",\"step\":2}\n");
  truncate_metrics(dir / "m.jsonl", {.step = 2, .evaluated_step = 1});
  EXPECT_EQ(dir.read("m.jsonl"),
            "{\"kind\":\"eval\",\"step\":1}\n{\"kind\":\"train\",\"step\":2}\n");
}

TEST(TruncateMetrics, DropsTornLines) {
  const TempDir dir;
  dir.write("m.jsonl", "{\"step\":1}\n{\"st\n{\"step\":2}\n{\"step\":2}");
  truncate_metrics(dir / "m.jsonl", {.step = 5, .evaluated_step = 5});
  EXPECT_EQ(dir.read("m.jsonl"), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(TruncateMetrics, AbsentFileStaysAbsent) {
  const TempDir dir;
  truncate_metrics(dir / "m.jsonl", {.step = 5, .evaluated_step = 5});
  EXPECT_FALSE(std::filesystem::exists(dir / "m.jsonl"));
}

}  // namespace
}  // namespace rung
