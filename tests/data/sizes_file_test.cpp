#include "data/sizes_file.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "base/sha256.h"

namespace rung::data {
namespace {

RunSizes some_sizes() {
  return {.train = {{.num_tokens = 300, .num_supervised = 20}, {.num_tokens = 1}},
          .validation = {{.num_tokens = std::numeric_limits<int32_t>::max(),
                          .num_supervised = std::numeric_limits<int32_t>::max()}},
          .report = {.read = 7,
                     .kept = 2,
                     .too_long = 4,
                     .without_labels = 1,
                     .truncated = 3,
                     .longest = 900,
                     .tokens = 301,
                     .supervised_tokens = 20}};
}

// `bytes` with a digest that is right, whatever stands before it.
std::string resealed(std::string bytes) {
  bytes.resize(bytes.size() - 64);
  return bytes + sha256_of_text(bytes);
}

std::string with_byte(std::string bytes, size_t position, char value) {
  bytes[position] = value;
  return bytes;
}

constexpr size_t kMagic = 21;  // "rung example sizes 2\n"
constexpr size_t kHeader = kMagic + 6 * 8;

TEST(SizesFile, GivesBackWhatWasWritten) {
  EXPECT_EQ(read_sizes(write_sizes(some_sizes())), some_sizes());
  EXPECT_EQ(read_sizes(write_sizes({})), RunSizes());
}

TEST(SizesFile, IsTheFormatThatItSays) {
  const std::string bytes = write_sizes(some_sizes());
  EXPECT_EQ(bytes.size(), kHeader + 3 * 8 + 64);
  EXPECT_EQ(bytes.substr(0, kMagic), "rung example sizes 2\n");
  EXPECT_EQ(bytes.substr(kMagic, 16), std::string("\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16));
  EXPECT_EQ(bytes.substr(kMagic + 16, 16), std::string("\4\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16));
  EXPECT_EQ(bytes.substr(kHeader, 8), std::string("\x2c\1\0\0\x14\0\0\0", 8));
}

TEST(SizesFile, IsNoneWithAByteChanged) {
  const std::string bytes = write_sizes(some_sizes());
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(read_sizes(with_byte(bytes, i, static_cast<char>(bytes[i] ^ 1))), std::nullopt) << i;
  }
}

TEST(SizesFile, IsNoneCutOrLengthened) {
  const std::string bytes = write_sizes(some_sizes());
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(read_sizes(bytes.substr(0, length)), std::nullopt) << length;
  }
  EXPECT_EQ(read_sizes(bytes + "\n"), std::nullopt);
}

// A right digest does not make a count true.
TEST(SizesFile, TrustsNoCount) {
  const std::string bytes = write_sizes(some_sizes());
  EXPECT_TRUE(read_sizes(resealed(bytes)).has_value());
  for (size_t i = kMagic; i < kMagic + 16; ++i) {
    EXPECT_EQ(read_sizes(resealed(with_byte(bytes, i, '\xff'))), std::nullopt) << i;
  }
  for (size_t i = kMagic + 16; i < kHeader; i += 8) {
    EXPECT_EQ(read_sizes(resealed(with_byte(bytes, i + 7, '\1'))), std::nullopt) << i;
  }
  EXPECT_EQ(read_sizes(resealed(bytes.substr(0, kHeader - 1) + std::string(64, '0'))),
            std::nullopt);
}

TEST(SizesFile, TrustsNoSize) {
  const std::string bytes = write_sizes(some_sizes());
  const size_t tokens = kHeader;
  EXPECT_EQ(read_sizes(resealed(with_byte(bytes, tokens + 3, '\x80'))), std::nullopt)
      << "more tokens than an int32 has";
  EXPECT_EQ(read_sizes(resealed(with_byte(bytes, tokens + 6, '\1'))), std::nullopt)
      << "more learnt than there are";
}

}  // namespace
}  // namespace rung::data
