// When enough faults of records were found, and how they are told.
#include "data/record_faults.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace rung::data {
namespace {

using rung::testing::error_of;

std::exception_ptr fault(const std::string& what, ExitCode code = ExitCode::kConfig) {
  return std::make_exception_ptr(Error(code, {.what = what, .where = "a.jsonl:7"}));
}

std::string text_of(const RecordFaults& faults) {
  return error_of(ExitCode::kConfig, [&] { faults.throw_if_any(); });
}

TEST(RecordFaults, AreEnoughWithTheTenth) {
  RecordFaults faults(1e6);
  EXPECT_TRUE(faults.empty());
  for (int i = 0; i < 9; ++i) faults.add(fault("bad"));
  EXPECT_FALSE(faults.are_enough());
  faults.add(fault("bad"));
  EXPECT_TRUE(faults.are_enough());
}

TEST(RecordFaults, AreEnoughOncePatienceIsAtAnEnd) {
  RecordFaults faults(0.0);
  EXPECT_FALSE(faults.are_enough());
  faults.add(fault("bad"));
  while (!faults.are_enough()) continue;
}

// Others may follow, so that the one found is not all.
TEST(RecordFaults, ASingleOneIsNotAllWhereReadingWasStopped) {
  RecordFaults faults(0.0);
  faults.add(fault("bad"));
  EXPECT_EQ(text_of(faults), "bad (a.jsonl:7)");
  faults.stop("at a.jsonl:1024");
  faults.stop("before b.jsonl");
  EXPECT_EQ(text_of(faults),
            "at least 1 record of the data cannot be used\n  bad (a.jsonl:7)\n"
            "  reading ended at a.jsonl:1024, and more may follow");
}

TEST(RecordFaults, AnEndedFileIsNoRecord) {
  RecordFaults faults;
  faults.end_file(fault("cut off"));
  EXPECT_FALSE(faults.empty());
  EXPECT_EQ(text_of(faults), "cut off (a.jsonl:7)");
  faults.end_file(fault("cut off"));
  EXPECT_EQ(text_of(faults),
            "the data cannot be read to their end\n"
            "  reading ended at a.jsonl:7: cut off; reading ended at a.jsonl:7: cut off");
}

TEST(RecordFaults, ThrowWhatIsNoFaultOfTheData) {
  RecordFaults faults;
  EXPECT_THROW(faults.add(fault("disk", ExitCode::kDamaged)), Error);
  EXPECT_THROW(faults.end_file(fault("disk", ExitCode::kDamaged)), Error);
  EXPECT_TRUE(faults.empty());
}

}  // namespace
}  // namespace rung::data
