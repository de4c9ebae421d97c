#include "format/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::TempDir;

std::string length_field(uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

std::string file_with(const std::string& json, size_t data_bytes) {
  return length_field(json.size()) + json + std::string(data_bytes, 'd');
}

// One entry of a header: F32 of shape [count] at [begin, end].
std::string entry(const std::string& name, int count, int begin, int end) {
  return "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[" + std::to_string(count) +
         "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

void expect_refused(const std::string& bytes, const std::string& words) {
  const TempDir dir;
  const auto path = dir.write("x.safetensors", bytes);
  expect_error(ExitCode::kDamaged, words, [&] { SafetensorsFile file(path); });
}

void expect_header_refused(const std::string& json, size_t data_bytes, const std::string& words) {
  expect_refused(file_with(json, data_bytes), words);
}

void expect_accepted(const std::string& bytes) {
  const TempDir dir;
  const auto path = dir.write("x.safetensors", bytes);
  EXPECT_NO_THROW(SafetensorsFile file(path));
}

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(RUNG_TEST_DATA) / "golden" / "format" / name;
}

TEST(SafetensorsRules, AbsentFileIsAConfigError) {
  expect_error(ExitCode::kConfig, "No such file",
               [] { SafetensorsFile file("/nonexistent/model.safetensors"); });
}

TEST(SafetensorsRules, FolderIsNoFile) {
  const TempDir dir;
  expect_error(ExitCode::kConfig, "not a regular file", [&] { SafetensorsFile file(dir.path()); });
}

TEST(SafetensorsRules, FileShorterThanTheLengthField) {
  expect_refused("", "too small for its header length: got 0 bytes");
  expect_refused("1234567", "too small for its header length: got 7 bytes");
}

TEST(SafetensorsRules, HeaderLengthBeyondTheLimit) {
  expect_refused(length_field(100'000'001) + "{}", "header is too large: got 100000001");
  expect_refused(length_field(~uint64_t{0}) + "{}", "header is too large");
}

TEST(SafetensorsRules, HeaderLengthBeyondTheFile) {
  expect_refused(length_field(3) + "{}", "longer than the file: got 3 bytes, expected at most 2");
}

TEST(SafetensorsRules, HeaderIsUtf8) {
  expect_header_refused("{\"\xff\":{}}", 0, "not valid JSON");
}

TEST(SafetensorsRules, HeaderIsJson) {
  expect_header_refused("{\"a\":", 0, "not valid JSON");
  expect_header_refused("{} x", 0, "not valid JSON");
}

TEST(SafetensorsRules, HeaderIsAnObject) {
  expect_header_refused("[]", 0, "not a JSON object");
  expect_header_refused("", 0, "not a JSON object");
  expect_header_refused("\xef\xbb\xbf{}", 0, "not a JSON object");
}

TEST(SafetensorsRules, NulBehindTheHeaderIsRefused) {
  expect_header_refused(std::string("{}\0x", 4), 0, "has no NUL byte");
}

TEST(SafetensorsRules, WhiteSpaceAroundTheHeaderIsAccepted) {
  expect_accepted(file_with("{}", 0));
  expect_accepted(file_with(" \n{}", 0));
  expect_accepted(file_with("{" + entry("a", 1, 0, 4) + "}   ", 4));
}

TEST(SafetensorsRules, DuplicateKeysAreRefused) {
  expect_header_refused("{" + entry("a", 1, 0, 4) + "," + entry("a", 1, 0, 4) + "}", 4,
                        "tensor 'a' appears twice");
  expect_header_refused(R"({"__metadata__":{},"__metadata__":{}})", 0,
                        "__metadata__ appears twice");
  expect_header_refused(R"({"__metadata__":{"k":"v","k":"w"}})", 0, "key 'k' appears twice");
  expect_header_refused(R"({"a":{"dtype":"F32","dtype":"F32"}})", 0, "key 'dtype' of 'a' appears");
}

TEST(SafetensorsRules, MetadataHasStringsOnly) {
  expect_header_refused(R"({"__metadata__":{"k":1}})", 0, "metadata 'k' has the wrong form: got 1");
  expect_header_refused(R"({"__metadata__":[]})", 0, "'__metadata__' has the wrong form");
  expect_header_refused(R"({"__metadata__":{"k":{}}})", 0, "metadata 'k' has the wrong form");
}

TEST(SafetensorsRules, TensorEntriesAreComplete) {
  expect_header_refused(R"({"a":{"dtype":"F32","shape":[1]}})", 4, "described incompletely");
  expect_header_refused(R"({"a":{}})", 0, "described incompletely");
  expect_header_refused(R"({"a":7})", 0, "entry 'a' has the wrong form: got 7");
  expect_header_refused(R"({"a":null})", 0, "entry 'a' has the wrong form: got null");
}

TEST(SafetensorsRules, UnknownKeysOfATensorAreRefused) {
  expect_header_refused(R"({"a":{"dtypes":"F32"}})", 0, "unknown key: got 'dtypes'");
}

TEST(SafetensorsRules, UnknownDtypeIsNamed) {
  expect_header_refused(R"({"a":{"dtype":"F33"}})", 0, "unknown dtype: got 'F33'");
  expect_header_refused(R"({"a":{"dtype":1}})", 0, "'dtype' of tensor 'a' has the wrong form");
}

TEST(SafetensorsRules, ShapesAreUnsigned) {
  expect_header_refused(R"({"a":{"shape":[-1]}})", 0, "got -1, expected unsigned integers");
  expect_header_refused(R"({"a":{"shape":[1.5]}})", 0, "got 1.5");
  expect_header_refused(R"({"a":{"shape":[[1]]}})", 0, "got a list");
  expect_header_refused(R"({"a":{"shape":4}})", 0, "expected a list of unsigned integers");
  expect_header_refused(R"({"a":{"shape":[18446744073709551616]}})", 0, "has the wrong form");
}

TEST(SafetensorsRules, RankAndDimensionsAreBounded) {
  expect_header_refused(R"({"a":{"shape":[1,1,1,1,1,1,1,1,1]}})", 0, "more than 8 dimensions");
  expect_header_refused(R"({"a":{"shape":[1099511627777]}})", 0, "dimension 1099511627777");
}

TEST(SafetensorsRules, OffsetsAreTwo) {
  expect_header_refused(R"({"a":{"data_offsets":[0]}})", 0, "1 numbers, expected begin and end");
  expect_header_refused(R"({"a":{"data_offsets":[0,1,2]}})", 0, "3 numbers");
}

TEST(SafetensorsRules, NamesAreBounded) {
  expect_header_refused("{\"" + std::string(4097, 'n') + "\":{}}", 0, "a name longer than 4096");
}

TEST(SafetensorsRules, FirstTensorBeginsAtZero) {
  expect_header_refused("{" + entry("a", 1, 4, 8) + "}", 8, "expected begin 0");
}

TEST(SafetensorsRules, HolesAreRefused) {
  expect_header_refused("{" + entry("a", 1, 0, 4) + "," + entry("b", 1, 8, 12) + "}", 12,
                        "tensor 'b' leaves a hole or overlaps: got data_offsets [8, 12], expected "
                        "begin 4");
}

TEST(SafetensorsRules, OverlapsAreRefused) {
  expect_header_refused("{" + entry("a", 2, 0, 8) + "," + entry("b", 1, 4, 8) + "}", 8,
                        "tensor 'b' leaves a hole or overlaps");
}

TEST(SafetensorsRules, EndBeforeBeginIsRefused) {
  expect_header_refused("{" + entry("a", 1, 4, 0) + "}", 4, "tensor 'a' leaves a hole or overlaps");
  expect_header_refused(
      "{" + entry("a", 1, 0, 4) + "," + entry("b", 0, 4, 4) + "," + entry("c", 0, 4, 0) + "}", 4,
      "tensor 'c' leaves a hole or overlaps");
}

TEST(SafetensorsRules, SizeMatchesTheShape) {
  expect_header_refused("{" + entry("a", 2, 0, 4) + "}", 4,
                        "data of tensor 'a' does not match its shape: got 4 bytes, expected 8");
}

TEST(SafetensorsRules, ElementCountMayNotOverflow) {
  expect_header_refused(
      R"({"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,4]}})", 4,
      "size of tensor 'a' overflows");
}

TEST(SafetensorsRules, ByteCountMayNotOverflow) {
  expect_header_refused(
      R"({"a":{"dtype":"F64","shape":[1099511627776,4194304],"data_offsets":[0,0]}})", 0,
      "size of tensor 'a' overflows");
}

TEST(SafetensorsRules, SubByteTypesFillWholeBytes) {
  expect_header_refused(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2,
                        "does not fill whole bytes: got 12 bits");
  expect_accepted(file_with(R"({"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", 2));
  expect_accepted(file_with(R"({"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}})", 3));
}

TEST(SafetensorsRules, TruncatedDataIsRefused) {
  expect_header_refused("{" + entry("a", 2, 0, 8) + "}", 7, "cut short: got 7 bytes of data");
}

TEST(SafetensorsRules, BytesBehindTheDataAreRefused) {
  expect_header_refused("{" + entry("a", 2, 0, 8) + "}", 9, "bytes behind its data: got 9");
}

TEST(SafetensorsRules, ControlCharactersOfNamesAreEscapedInMessages) {
  const TempDir dir;
  const auto path = dir.write("x.safetensors", file_with(R"({"\u001b[2J":{}})", 0));
  const std::string message = error_of(ExitCode::kDamaged, [&] { SafetensorsFile file(path); });
  EXPECT_EQ(message.find('\x1b'), std::string::npos) << message;
}

TEST(Safetensors, ScalarsAndEmptyTensorsAreLegal) {
  const TempDir dir;
  const SafetensorsFile file(
      dir.write("x", file_with(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)" +
                                   entry("e", 0, 4, 4) + "}",
                               4)));
  EXPECT_EQ(file.tensors().at("s").num_elements(), 1);
  EXPECT_EQ(file.tensors().at("e").num_elements(), 0);
}

TEST(Safetensors, ReadsAPartOfATensor) {
  const TempDir dir;
  const std::string json = "{" + entry("a", 2, 0, 8) + "}";
  const SafetensorsFile file(dir.write("x", length_field(json.size()) + json + "abcdefgh"));
  std::string part(3, '\0');
  file.read("a", 2, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, "cde");
}

TEST(Safetensors, FileCutWhileOpenIsAnError) {
  const TempDir dir;
  const auto path = dir.write("x", file_with("{" + entry("a", 2, 0, 8) + "}", 8));
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, 20);
  std::string data(8, '\0');
  expect_error(ExitCode::kDamaged, "the file ends too early",
               [&] { file.read("a", 0, std::as_writable_bytes(std::span(data))); });
}

TEST(Safetensors, ReadsAFileOfTheReferenceWriter) {
  const SafetensorsFile file(golden("all_dtypes.safetensors"));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensors().size(), 17U);
  EXPECT_EQ(file.tensors().at("float8_e4m3fn").dtype, DType::kF8E4M3);
  std::vector<int64_t> values(6);
  file.read("int64", 0, std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values, (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
}

// Exact: only moves bytes. It also says that whatever reads the reference writer's files reads
// ours.
TEST(Safetensors, WritesTheBytesOfTheReferenceWriter) {
  const SafetensorsFile file(golden("all_dtypes.safetensors"));
  std::map<std::string, std::string> data;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, info] : file.tensors()) {
    std::string& bytes = data[name];
    bytes.resize(static_cast<size_t>(info.bytes));
    file.read(name, 0, std::as_writable_bytes(std::span(bytes)));
    tensors.push_back({.name = name,
                       .dtype = info.dtype,
                       .shape = info.shape,
                       .data = std::as_bytes(std::span(bytes))});
  }
  const TempDir dir;
  write_safetensors(dir / "ours", tensors, file.metadata());
  const TempDir copy;
  std::filesystem::copy_file(golden("all_dtypes.safetensors"), copy / "theirs");
  EXPECT_TRUE(dir.read("ours") == copy.read("theirs"));
}

TEST(Safetensors, BytesDoNotDependOnTheOrderGiven) {
  const std::string data = "01234567";
  const auto bytes = std::as_bytes(std::span(data));
  const TensorToWrite a = {.name = "a", .dtype = DType::kF32, .shape = {2}, .data = bytes};
  const TensorToWrite b = {.name = "b", .dtype = DType::kI64, .shape = {1}, .data = bytes};
  const TempDir dir;
  write_safetensors(dir / "ab", {a, b}, {});
  write_safetensors(dir / "ba", {b, a}, {});
  EXPECT_EQ(dir.read("ab"), dir.read("ba"));
}

TEST(Safetensors, EscapesNamesOnWriting) {
  const TempDir dir;
  const std::string name = "quote \" and é";
  write_safetensors(dir / "x", {{.name = name, .dtype = DType::kU8, .shape = {0}, .data = {}}}, {});
  EXPECT_TRUE(SafetensorsFile(dir / "x").tensors().contains(name));
}

TEST(Safetensors, FailedWriteNamesTheFile) {
  expect_error(ExitCode::kDamaged, "cannot write the file: got No such file",
               [] { write_safetensors("/nonexistent/x.safetensors", {}, {}); });
}

}  // namespace
}  // namespace rung::format
