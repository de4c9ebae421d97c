#include "base/units.h"

#include <gtest/gtest.h>

namespace rung {
namespace {

TEST(ParseBytes, TakesNumbersWithAndWithoutUnits) {
  EXPECT_EQ(parse_bytes("0"), 0);
  EXPECT_EQ(parse_bytes("1073741824"), int64_t{1} << 30);
  EXPECT_EQ(parse_bytes("24GiB"), int64_t{24} << 30);
  EXPECT_EQ(parse_bytes("24 gib"), int64_t{24} << 30);
  EXPECT_EQ(parse_bytes("24GB"), 24'000'000'000);
  EXPECT_EQ(parse_bytes("24000MiB"), int64_t{24000} << 20);
  EXPECT_EQ(parse_bytes("23.5GiB"), (int64_t{47} << 30) / 2);
}

TEST(ParseBytes, RefusesTheRest) {
  for (const char* text : {"", "24G", "GiB", "-1", "1.5", "1 GiB x", "nan", "inf", "1e3", "0x10",
                           "99999999999TiB", "1GiB ", " 1GiB"}) {
    EXPECT_EQ(parse_bytes(text), std::nullopt) << text;
  }
}

TEST(FormatBytes, UsesBinaryUnits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes((int64_t{1} << 30) - 1), "1.0 GiB");
  EXPECT_EQ(format_bytes(int64_t{23} << 30), "23.0 GiB");
  EXPECT_EQ(format_bytes(-2048), "-2.0 KiB");
}

TEST(FormatDuration, PicksTheUnit) {
  EXPECT_EQ(format_duration(0.421), "0.42 s");
  EXPECT_EQ(format_duration(12.34), "12.3 s");
  EXPECT_EQ(format_duration(59.99), "1 min 00 s");
  EXPECT_EQ(format_duration(185), "3 min 05 s");
  EXPECT_EQ(format_duration(7620), "2 h 07 min");
  EXPECT_EQ(format_duration(-1), "?");
}

TEST(FormatCount, GroupsAndShortens) {
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(9999), "9,999");
  EXPECT_EQ(format_count(-123456), "-123,456");
  EXPECT_EQ(format_count(134'515'008), "134.52M");
  EXPECT_EQ(format_count(8'030'261'248), "8.03B");
}

TEST(FormatCounted, TakesThePluralButForOne) {
  EXPECT_EQ(format_counted(1, "row"), "1 row");
  EXPECT_EQ(format_counted(0, "row"), "0 rows");
  EXPECT_EQ(format_counted(1234, "row"), "1,234 rows");
}

}  // namespace
}  // namespace rung
