#include "base/json.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung {
namespace {

using testing::expect_error;

void expect_damaged(const std::string& text, const std::string& words, JsonLimits limits = {}) {
  expect_error(ExitCode::kDamaged, words, [&] { parse_json(text, "x.json", limits); });
}

TEST(Json, KeepsOrderAndTypes) {
  const std::string text = R"({"b":[1,-2,2.5,true,null],"a":{"":"é\u00e9"}})";
  EXPECT_EQ(parse_json(text, "x").dump(), R"({"b":[1,-2,2.5,true,null],"a":{"":"éé"}})");
}

TEST(Json, ParsesBareScalars) {
  EXPECT_EQ(parse_json(" 7 ", "x").get<int>(), 7);
  EXPECT_EQ(parse_json("18446744073709551615", "x").get<uint64_t>(), UINT64_MAX);
}

TEST(Json, RefusesDuplicateKeysWithTheirPlace) {
  expect_damaged("{\"a\":1,\n \"a\":2}", "duplicate key \"a\" (x.json:2:");
}

TEST(Json, RefusesDuplicateKeysInLargeObjects) {
  std::string text = "{";
  for (int i = 0; i < 100; ++i) text += "\"k" + std::to_string(i) + "\":0,";
  expect_damaged(text + "\"k57\":1}", "duplicate key \"k57\"");
  expect_damaged(text + "\"z\":0,\"z\":1}", "duplicate key \"z\"");
}

TEST(Json, SameKeyInTwoObjectsIsNoDuplicate) {
  EXPECT_EQ(parse_json(R"([{"a":1},{"a":{"a":2}}])", "x").size(), 2u);
}

TEST(Json, RefusesTrailingGarbage) { expect_damaged("{} x", "x.json:1:4"); }

TEST(Json, RefusesTruncatedText) {
  expect_damaged("", "malformed JSON");
  expect_damaged("{\"a\":", "malformed JSON");
  expect_damaged("[1,2", "malformed JSON");
}

TEST(Json, RefusesWhatIsNotJson) {
  expect_damaged("{a:1}", "malformed JSON");
  expect_damaged("[1,]", "malformed JSON");
  expect_damaged("[NaN]", "malformed JSON");
  expect_damaged("// x\n1", "malformed JSON");
  expect_damaged("[1e999]", "malformed JSON");
}

TEST(Json, RefusesInvalidUtf8) {
  expect_damaged("\"\xff\"", "malformed JSON");
  expect_damaged("\"\xc0\xaf\"", "malformed JSON");
  expect_damaged("\"\xed\xa0\x80\"", "malformed JSON");
  expect_damaged("\"\\ud800\"", "malformed JSON");
}

TEST(Json, RefusesDeepNesting) {
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  expect_damaged(deep, "nested deeper than 64 levels");
  EXPECT_NO_THROW(parse_json(deep.substr(1, 128), "x"));
}

TEST(Json, RefusesVeryDeepNestingWithoutRecursing) {
  expect_damaged(std::string(10'000'000, '['), "nested deeper than 64 levels");
}

TEST(Json, RefusesTextOverTheByteLimit) {
  expect_damaged("[1,2,3]", "at most 6 bytes", {.max_bytes = 6});
}

TEST(Json, CountsLinesFromTheGivenOne) {
  expect_damaged("{\"a\":x}", "(x.json:17:6)", {.first_line = 17});
}

TEST(Json, BuildsLargeObjectsInLinearTime) {
  std::string text = "{\"first\":0";
  for (int i = 0; i < 200'000; ++i) {
    text += ",\"token" + std::to_string(i) + "\":" + std::to_string(i);
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_json(text + "}", "x").size(), 200'001u);
  // A quadratic build takes minutes; linear takes some tenths of a second.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(JsonFile, IsReadWhole) {
  const testing::TempDir dir;
  EXPECT_EQ(read_json_file(dir.write("a.json", "{\"a\": 1}\n"))["a"], 1);
}

TEST(JsonFile, AbsentIsAConfigError) {
  const testing::TempDir dir;
  expect_error(ExitCode::kConfig, "none.json", [&] { read_json_file(dir / "none.json"); });
  expect_error(ExitCode::kConfig, "not a regular file", [&] { read_json_file(dir.path()); });
}

TEST(JsonFile, TooLargeIsDamaged) {
  const testing::TempDir dir;
  const auto path = dir.write("a.json", "[1, 2, 3, 4]");
  expect_error(ExitCode::kDamaged, "at most 8 bytes",
               [&] { read_json_file(path, {.max_bytes = 8}); });
}

}  // namespace
}  // namespace rung
