// The GGUF reader: every value and tensor type against gguf-py, and files that lie.
#include "format/gguf.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <span>

#include "format/gguf_dequantize.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/golden_arrays.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using testing::expect_error;
using testing::GgufBuilder;
using testing::TempDir;

const std::filesystem::path kGolden = std::filesystem::path(RUNG_TEST_DATA) / "golden/gguf";

GgufFile open_golden() { return GgufFile(kGolden / "all_types.gguf"); }

std::vector<float> read_floats(const GgufFile& file, const std::string& name) {
  const GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) throw std::logic_error("no tensor " + name);
  std::vector<std::byte> stored(static_cast<size_t>(tensor->bytes));
  std::vector<float> values(static_cast<size_t>(tensor->num_values()));
  file.read(*tensor, 0, stored);
  dequantize(tensor->type, stored, values);
  return values;
}

// Exact: bit for bit, but any NaN equals any NaN.
void expect_golden(const std::string& name) {
  const std::vector<float> expected =
      test::read_golden(kGolden / "golden.bin").at(name).as<float>();
  const std::vector<float> got = read_floats(open_golden(), name);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected[i])) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(expected[i]))
        << name << "[" << i << "]: got " << got[i] << ", expected " << expected[i];
  }
}

TEST(GgufDequantize, F32MatchesGgufPy) { expect_golden("f32"); }
TEST(GgufDequantize, F16MatchesGgufPy) { expect_golden("f16"); }
TEST(GgufDequantize, EveryHalfMatchesGgufPy) { expect_golden("every_half"); }
TEST(GgufDequantize, Bf16MatchesGgufPy) { expect_golden("bf16"); }
TEST(GgufDequantize, Q4_0MatchesGgufPy) { expect_golden("q4_0"); }
TEST(GgufDequantize, Q4_1MatchesGgufPy) { expect_golden("q4_1"); }
TEST(GgufDequantize, Q8_0MatchesGgufPy) { expect_golden("q8_0"); }
TEST(GgufDequantize, Q4_0OfAnyBytesMatchesGgufPy) { expect_golden("q4_0_bytes"); }
TEST(GgufDequantize, Q4_1OfAnyBytesMatchesGgufPy) { expect_golden("q4_1_bytes"); }
TEST(GgufDequantize, Q8_0OfAnyBytesMatchesGgufPy) { expect_golden("q8_0_bytes"); }

TEST(GgufFile, ShapesAreOutermostFirst) {
  EXPECT_EQ(open_golden().find_tensor("q4_1")->shape, (std::vector<int64_t>{7, 64}));
}

template <typename T>
T value_of(const GgufFile& file, const std::string& key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr) throw std::logic_error("no key " + key);
  return std::get<T>(*value);
}

TEST(GgufFile, ReadsEveryScalarType) {
  const GgufFile file = open_golden();
  EXPECT_EQ(value_of<uint64_t>(file, "test.uint8"), 200U);
  EXPECT_EQ(value_of<int64_t>(file, "test.int8"), -100);
  EXPECT_EQ(value_of<uint64_t>(file, "test.uint16"), 60000U);
  EXPECT_EQ(value_of<int64_t>(file, "test.int16"), -30000);
  EXPECT_EQ(value_of<uint64_t>(file, "test.uint32"), 4000000000U);
  EXPECT_EQ(value_of<int64_t>(file, "test.int32"), -2000000000);
  EXPECT_EQ(value_of<float>(file, "test.float32"), 1e-5F);
  EXPECT_TRUE(value_of<bool>(file, "test.bool"));
  EXPECT_EQ(value_of<std::string>(file, "test.string"), "grün");
  EXPECT_EQ(value_of<uint64_t>(file, "test.uint64"), uint64_t{1} << 63);
  EXPECT_EQ(value_of<int64_t>(file, "test.int64"), -(int64_t{1} << 62));
  EXPECT_EQ(value_of<double>(file, "test.float64"), 0.1);
}

TEST(GgufFile, ReadsEveryArrayType) {
  const GgufFile file = open_golden();
  using Unsigned = std::vector<uint64_t>;
  using Signed = std::vector<int64_t>;
  EXPECT_EQ(value_of<Unsigned>(file, "test.array.uint8"), (Unsigned{1, 255}));
  EXPECT_EQ(value_of<Signed>(file, "test.array.int8"), (Signed{-1, 2}));
  EXPECT_EQ(value_of<Unsigned>(file, "test.array.uint16"), (Unsigned{3, 65535}));
  EXPECT_EQ(value_of<Signed>(file, "test.array.int16"), (Signed{-3, 4}));
  EXPECT_EQ(value_of<Unsigned>(file, "test.array.uint32"), (Unsigned{5, 6}));
  EXPECT_EQ(value_of<Signed>(file, "test.array.int32"), (Signed{-5, 6}));
  EXPECT_EQ(value_of<std::vector<float>>(file, "test.array.float32"),
            (std::vector<float>{0.5F, -0.25F}));
  EXPECT_EQ(value_of<std::vector<bool>>(file, "test.array.bool"), (std::vector<bool>{true, false}));
  EXPECT_EQ(value_of<std::vector<std::string>>(file, "test.array.string"),
            (std::vector<std::string>{"a", "", "ß"}));
  EXPECT_EQ(value_of<Unsigned>(file, "test.array.uint64"), (Unsigned{7}));
  EXPECT_EQ(value_of<Signed>(file, "test.array.int64"), (Signed{-7}));
  EXPECT_EQ(value_of<std::vector<double>>(file, "test.array.float64"),
            (std::vector<double>{0.125}));
}

// --- files that are not what they claim to be

GgufBuilder small_file() {
  GgufBuilder builder;
  builder.add("general.architecture", "test");
  builder.add("count", uint32_t{7});
  builder.add("names", std::vector<std::string>{"one", "two"});
  builder.add_floats("a", {2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
  builder.add_tensor(
      {.name = "b", .shape = {1, 32}, .type = 8, .data = std::string(34, '\2'), .offset = {}});
  return builder;
}

void expect_refused(const std::string& bytes, const std::string& words,
                    ExitCode code = ExitCode::kDamaged) {
  const TempDir dir;
  const std::filesystem::path path = dir.write("x.gguf", bytes);
  expect_error(code, words, [&] { GgufFile file(path); });
}

TEST(GgufFile, ReadsAFileOfTheBuilder) {
  const TempDir dir;
  const GgufFile file(dir.write("x.gguf", small_file().build()));
  EXPECT_EQ(read_floats(file, "a"), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(GgufFile, HonoursTheAlignmentKey) {
  GgufBuilder builder = small_file();
  builder.alignment = 128;
  builder.add("general.alignment", uint32_t{128});
  const TempDir dir;
  const GgufFile file(dir.write("x.gguf", builder.build()));
  EXPECT_EQ(read_floats(file, "a").back(), 7.0F);
}

TEST(GgufFile, RefusesAnAbsentFile) {
  expect_error(ExitCode::kConfig, "nowhere.gguf", [] { GgufFile file("/nowhere.gguf"); });
}

TEST(GgufFile, RefusesAnotherMagic) { expect_refused("PK\3\4 and more", "not a GGUF file"); }
TEST(GgufFile, RefusesAnEmptyFile) { expect_refused("", "not a GGUF file"); }

TEST(GgufFile, RefusesOldVersions) {
  GgufBuilder builder = small_file();
  builder.version = 2;
  expect_refused(builder.build(), "got version 2, expected version 3", ExitCode::kConfig);
}

TEST(GgufFile, RefusesBigEndianFiles) {
  GgufBuilder builder = small_file();
  builder.version = 0x03000000;
  expect_refused(builder.build(), "big-endian", ExitCode::kConfig);
}

TEST(GgufFile, RefusesAnImpossibleTensorCount) {
  GgufBuilder builder = small_file();
  builder.num_tensors = uint64_t{1} << 60;
  expect_refused(builder.build(), "the tensor count is impossible");
}

TEST(GgufFile, RefusesMoreKeysThanThereAre) {
  GgufBuilder builder = small_file();
  builder.num_keys = 1000;
  expect_refused(builder.build(), "impossible");
}

TEST(GgufFile, RefusesADuplicateKey) {
  GgufBuilder builder = small_file();
  builder.add("count", uint32_t{8});
  expect_refused(builder.build(), "the key \"count\" is there twice");
}

TEST(GgufFile, RefusesADuplicateTensor) {
  GgufBuilder builder = small_file();
  builder.add_floats("a", {1}, {0});
  expect_refused(builder.build(), "tensor a: the name is used by two tensors");
}

TEST(GgufFile, RefusesAStringLongerThanTheFile) {
  GgufBuilder builder = small_file();
  builder.add_raw("s", GgufBuilder::kString, GgufBuilder::bytes_of(uint64_t{1} << 62));
  expect_refused(builder.build(), "the length of s is impossible");
}

TEST(GgufFile, RefusesAnArrayLongerThanTheFile) {
  GgufBuilder builder = small_file();
  builder.add_raw("s", GgufBuilder::kArray,
                  GgufBuilder::bytes_of(uint32_t{4}) + GgufBuilder::bytes_of(~uint64_t{0}));
  expect_refused(builder.build(), "the length of \"s\" is impossible");
}

TEST(GgufFile, RefusesAnArrayOfArraysByName) {
  GgufBuilder builder = small_file();
  builder.add_raw("s", GgufBuilder::kArray,
                  GgufBuilder::bytes_of(uint32_t{9}) + GgufBuilder::bytes_of(uint64_t{0}));
  expect_refused(builder.build(), "an array of arrays", ExitCode::kConfig);
}

TEST(GgufFile, RefusesAnUnknownValueType) {
  GgufBuilder builder = small_file();
  builder.add_raw("s", 13, "....");
  expect_refused(builder.build(), "the value type of \"s\" does not exist");
}

TEST(GgufFile, RefusesAnEmptyArrayOfAnUnknownType) {
  GgufBuilder builder = small_file();
  builder.add_raw("s", GgufBuilder::kArray,
                  GgufBuilder::bytes_of(uint32_t{99}) + GgufBuilder::bytes_of(uint64_t{0}));
  expect_refused(builder.build(), "does not exist");
}

TEST(GgufFile, RefusesABoolThatIsNone) {
  GgufBuilder builder = small_file();
  builder.add_raw("s", GgufBuilder::kBool, "\2");
  expect_refused(builder.build(), "\"s\" is no bool");
}

TEST(GgufFile, RefusesAnotherTensorTypeByName) {
  expect_error(ExitCode::kConfig, "blk.0.attn_q.weight has a type that is not supported: got Q5_0",
               [] { GgufFile file(kGolden / "q5_0.gguf"); });
}

GgufBuilder with_tensor(GgufBuilder::Tensor tensor) {
  GgufBuilder builder = small_file();
  builder.add_tensor(std::move(tensor));
  return builder;
}

TEST(GgufFile, RefusesATensorTypeThatDoesNotExist) {
  expect_refused(
      with_tensor({.name = "c", .shape = {1}, .type = 77, .data = {}, .offset = {}}).build(),
      "tensor c: the tensor type does not exist: got 77");
}

TEST(GgufFile, RefusesARankOfFive) {
  expect_refused(
      with_tensor({.name = "c", .shape = {1, 1, 1, 1, 1}, .data = {}, .offset = {}}).build(),
      "tensor c: the rank is out of range: got 5");
}

TEST(GgufFile, RefusesASizeOfZero) {
  expect_refused(with_tensor({.name = "c", .shape = {0, 4}, .data = {}, .offset = {}}).build(),
                 "tensor c: a size is out of range: got 0");
}

TEST(GgufFile, RefusesSizesThatOverflow) {
  const uint64_t large = uint64_t{1} << 40;
  expect_refused(
      with_tensor({.name = "c", .shape = {large, large}, .data = {}, .offset = {}}).build(),
      "tensor c: the size overflows");
}

TEST(GgufFile, RefusesRowsThatAreNoWholeBlocks) {
  expect_refused(
      with_tensor({.name = "c", .shape = {2, 33}, .type = 2, .data = {}, .offset = {}}).build(),
      "tensor c: the rows are no whole Q4_0 blocks: got 33 values a row");
}

TEST(GgufFile, RefusesDataBehindTheEnd) {
  expect_refused(with_tensor({.name = "c", .shape = {9}, .data = "....", .offset = {}}).build(),
                 "tensor c: the data ends behind the end of the file");
}

TEST(GgufFile, RefusesAnOffsetBehindTheEnd) {
  expect_refused(
      with_tensor({.name = "c", .shape = {1}, .data = "....", .offset = uint64_t{1} << 63}).build(),
      "tensor c: the offset lies behind the end of the file");
}

TEST(GgufFile, RefusesAnOffsetThatIsNotAligned) {
  expect_refused(with_tensor({.name = "c", .shape = {1}, .data = "....", .offset = 33}).build(),
                 "tensor c: the offset is not aligned");
}

TEST(GgufFile, RefusesTensorsThatOverlap) {
  expect_refused(with_tensor({.name = "c", .shape = {1}, .data = "....", .offset = 0}).build(),
                 "the data overlaps that of");
}

TEST(GgufFile, RefusesAnAlignmentThatIsNoPowerOfTwo) {
  GgufBuilder builder = small_file();
  builder.add("general.alignment", uint32_t{24});
  expect_refused(builder.build(), "general.alignment is wrong: got 24");
}

TEST(GgufFile, RefusesEveryTruncation) {
  const TempDir dir;
  const std::string bytes = small_file().build();
  // The last block is 34 bytes in 64: cutting the padding behind it harms nothing.
  for (size_t length = 0; length < bytes.size() - 30; ++length) {
    const std::filesystem::path path =
        dir.write("x.gguf", std::string_view(bytes).substr(0, length));
    EXPECT_THROW(GgufFile file(path), Error) << length << " of " << bytes.size() << " bytes";
  }
}

TEST(GgufFile, AFlippedByteIsReadOrRefusedNeverWorse) {
  const TempDir dir;
  const std::string sound = small_file().build();
  std::mt19937 random(1);
  for (size_t at = 0; at < sound.size(); ++at) {
    std::string bytes = sound;
    bytes[at] = static_cast<char>(random());
    const std::filesystem::path path = dir.write("x.gguf", bytes);
    try {
      const GgufFile file(path);
      for (const GgufTensor& tensor : file.tensors()) read_floats(file, tensor.name);
    } catch (const Error&) {
      // as good: what counts is that nothing else is thrown and no memory is touched
    }
  }
}

}  // namespace
}  // namespace rung::format
