// Files of records: their two forms, the lines they report, and what is refused.
#include "data/reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::data {
namespace {

using rung::testing::expect_error;
using rung::testing::TempDir;

struct Parsed {
  std::vector<Json> values;
  std::vector<int64_t> lines;
};

Parsed read_all(const std::filesystem::path& path) {
  RecordReader reader(path);
  Parsed parsed;
  while (const auto record = reader.next()) {
    parsed.values.push_back(parse_record(*record, path));
    parsed.lines.push_back(record->line);
  }
  return parsed;
}

Parsed read_text(const std::string& text, const std::string& name = "data.jsonl") {
  const TempDir folder;
  return read_all(folder.write(name, text));
}

void expect_refused(const std::string& text, const std::string& words) {
  const TempDir folder;
  const auto path = folder.write("data.jsonl", text);
  expect_error(ExitCode::kConfig, words, [&] { read_all(path); });
}

TEST(RecordReader, ReadsOneObjectALine) {
  const Parsed parsed = read_text("{\"n\":1}\n{\"n\":2}\n");
  ASSERT_EQ(parsed.values.size(), 2u);
  EXPECT_EQ(parsed.values[1]["n"], 2);
  EXPECT_EQ(parsed.lines, (std::vector<int64_t>{1, 2}));
}

TEST(RecordReader, ReadsTheLastLineWithoutLineBreak) {
  EXPECT_EQ(read_text("{\"n\":1}\n{\"n\":2}").values.size(), 2u);
}

TEST(RecordReader, SkipsBlankLinesAndCountsThem) {
  const Parsed parsed = read_text("\n  \n{\"n\":1}\n\n\t\n{\"n\":2}\n\n");
  EXPECT_EQ(parsed.lines, (std::vector<int64_t>{3, 6}));
}

TEST(RecordReader, AcceptsCarriageReturnsAndByteOrderMark) {
  const Parsed parsed = read_text("\xef\xbb\xbf{\"n\":1}\r\n\r\n{\"n\":2}\r\n");
  EXPECT_EQ(parsed.lines, (std::vector<int64_t>{1, 3}));
}

TEST(RecordReader, ReadsAnArrayWithTheLineOfEachElement) {
  const Parsed parsed =
      read_text("[\n {\"n\": 1},\n {\n  \"n\": [2, {\"m\": 3}]\n },\n {}\n]\n", "data.json");
  ASSERT_EQ(parsed.values.size(), 3u);
  EXPECT_EQ(parsed.values[1]["n"][1]["m"], 3);
  EXPECT_EQ(parsed.lines, (std::vector<int64_t>{2, 3, 6}));
}

TEST(RecordReader, IsNotMisledByBracketsInStrings) {
  const Parsed parsed = read_text(R"([{"a":"],[{\"\\"},{"b":"\\\"}"}])", "data.json");
  ASSERT_EQ(parsed.values.size(), 2u);
  EXPECT_EQ(parsed.values[0]["a"], "],[{\"\\");
  EXPECT_EQ(parsed.values[1]["b"], "\\\"}");
}

TEST(RecordReader, ReadsLinesInAJsonFile) {
  EXPECT_EQ(read_text("{\"n\":1}\n{\"n\":2}\n", "data.json").values.size(), 2u);
}

TEST(RecordReader, FindsNoRecordsInEmptyFilesAndArrays) {
  EXPECT_TRUE(read_text("").values.empty());
  EXPECT_TRUE(read_text("\n \n").values.empty());
  EXPECT_TRUE(read_text("[ ]", "data.json").values.empty());
}

TEST(RecordReader, NamesTheLineOfMalformedJson) {
  expect_refused("{\"n\":1}\n{\"n\":,}\n", "data.jsonl:2:6");
}

TEST(RecordReader, NamesTheLineOfACutOffRecord) {
  expect_refused("{\"n\":1}\n\n{\"n\": \"abc", "data.jsonl:3:");
}

TEST(RecordReader, RefusesARecordThatIsNoObject) {
  expect_refused("{\"n\":1}\n\"text\"\n", "not an object: got string, expected one JSON object (");
  expect_refused("{}\n17\n", "data.jsonl:2)");
}

TEST(RecordReader, RefusesTwoObjectsOnALine) { expect_refused("{} {}\n", "data.jsonl:1:"); }

TEST(RecordReader, RefusesAnUnclosedArray) {
  expect_refused("[{\"n\":1},\n{\"n\":2}", "not closed: got the end of the file, expected ']'");
  expect_refused("[{\"n\":1},\n{\"n\":2}", "data.jsonl:2)");
}

TEST(RecordReader, RefusesATrailingComma) { expect_refused("[{\"n\":1},\n]", "data.jsonl:2:"); }

TEST(RecordReader, RefusesTextBehindAnArray) {
  expect_refused("[{\"n\":1}]\n\nmore", "text behind the JSON array: expected the end of the file");
  expect_refused("[{\"n\":1}]\n\nmore", "data.jsonl:3)");
}

TEST(RecordReader, RefusesInvalidUtf8) { expect_refused("{\"n\":\"\xff\"}\n", "data.jsonl:1:"); }

TEST(RecordReader, RefusesAnEndlessRecord) {
  const TempDir folder;
  std::string text = "{\"n\":\"";
  text.append(RecordReader::kMaxRecordBytes, 'a');
  const auto path = folder.write("data.jsonl", "{}\n" + text);
  expect_error(ExitCode::kConfig, "too long: expected at most 64 MiB", [&] { read_all(path); });
  expect_error(ExitCode::kConfig, "data.jsonl:2)", [&] { read_all(path); });
}

// One to four bytes of `text` replaced, removed or doubled.
std::string damage(std::string text, const CounterRandom& random) {
  const uint64_t num_changes = 1 + random.below(0, 4);
  for (uint64_t change = 0; change < num_changes && !text.empty(); ++change) {
    const size_t at = random.below(3 * change + 1, text.size());
    const uint64_t kind = random.below(3 * change + 2, 3);
    if (kind == 0) text[at] = static_cast<char>(random.below(3 * change + 3, 256));
    if (kind == 1) text.erase(at, 1);
    if (kind == 2) text.insert(at, 1, text[at]);
  }
  return text;
}

TEST(RecordReader, AnswersDamagedTextWithAnError) {
  const TempDir folder;
  for (const char* sound : {"{\"a\":[1,{\"b\":\"\\u00e9\\\"\"}]}\n{\"n\":-1e3}\n",
                            "[{\"a\":[1,{\"b\":\"]\\\"\"}]},\n {\"n\":null}]\n"}) {
    for (uint64_t i = 0; i < 1500; ++i) {
      const auto path = folder.write("data.json", damage(sound, CounterRandom(i, 0)));
      try {
        read_all(path);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::kConfig) << error.what();
      }
    }
  }
}

TEST(RecordReader, SaysThatAFileIsAbsent) {
  expect_error(ExitCode::kConfig, "the data set does not exist",
               [] { RecordReader("/nowhere/data.jsonl"); });
}

TEST(RecordReader, RefusesAFolder) {
  const TempDir folder;
  expect_error(ExitCode::kConfig, "not a file: expected a .jsonl or .json file",
               [&] { RecordReader(folder.path()); });
}

TEST(RecordReader, RefusesOtherKindsOfFile) {
  const TempDir folder;
  const auto path = folder.write("data.parquet", "PAR1");
  expect_error(ExitCode::kConfig, "not supported: got \".parquet\", expected .jsonl or .json",
               [&] { RecordReader reader(path); });
}

}  // namespace
}  // namespace rung::data
