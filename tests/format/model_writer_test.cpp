#include "format/model_writer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "format/shards.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using rung::testing::expect_error;
using rung::testing::TempDir;

std::vector<TensorSpec> specs() {
  return {{.name = "c", .dtype = DType::kBF16, .shape = {4}},      // 8 bytes
          {.name = "a", .dtype = DType::kF32, .shape = {2, 2}},    // 16 bytes
          {.name = "empty", .dtype = DType::kF32, .shape = {0}},   // 0 bytes
          {.name = "b", .dtype = DType::kBF16, .shape = {2, 2}}};  // 8 bytes
}

// Data that tells a tensor and its bytes apart.
std::string data_of(const TensorSpec& spec) {
  std::string data;
  for (int64_t i = 0; i < spec.num_bytes(); ++i) data += static_cast<char>(spec.name[0] + i);
  return data;
}

void write_all(const TempDir& dir, int64_t max_shard_bytes) {
  ModelWriter writer(dir.path(), specs(), max_shard_bytes);
  for (const TensorSpec& spec : writer.order()) {
    const std::string data = data_of(spec);
    writer.write(spec.name, std::as_bytes(std::span(data)));
  }
  writer.finish();
}

void expect_all_readable(const TempDir& dir) {
  const Shards shards(dir.path());
  for (const TensorSpec& spec : specs()) {
    EXPECT_EQ(shards.info(spec.name).shape, spec.shape);
    EXPECT_EQ(shards.info(spec.name).dtype, spec.dtype);
    std::string data(static_cast<size_t>(spec.num_bytes()), '\0');
    shards.read(spec.name, 0, std::as_writable_bytes(std::span(data)));
    EXPECT_EQ(data, data_of(spec)) << spec.name;
  }
}

TEST(ModelWriter, OneShardHasNoIndex) {
  const TempDir dir;
  write_all(dir, kDefaultMaxShardBytes);
  EXPECT_TRUE(std::filesystem::exists(dir / "model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(dir / "model.safetensors.index.json"));
  expect_all_readable(dir);
}

TEST(ModelWriter, OneShardEqualsWriteSafetensors) {
  const TempDir dir;
  write_all(dir, kDefaultMaxShardBytes);
  std::map<std::string, std::string> data;
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : specs()) {
    data[spec.name] = data_of(spec);
    tensors.push_back({.name = spec.name,
                       .dtype = spec.dtype,
                       .shape = spec.shape,
                       .data = std::as_bytes(std::span(data[spec.name]))});
  }
  write_safetensors(dir / "at_once", tensors, {{"format", "pt"}});
  EXPECT_EQ(dir.read("model.safetensors"), dir.read("at_once"));
}

TEST(ModelWriter, ShardsHoldAtMostTheirBytes) {
  const TempDir dir;
  write_all(dir, 24);
  EXPECT_TRUE(std::filesystem::exists(dir / "model-00001-of-00002.safetensors"));
  const auto index = nlohmann::json::parse(dir.read("model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], 32);
  EXPECT_EQ(index["weight_map"]["a"], "model-00001-of-00002.safetensors");
  EXPECT_EQ(index["weight_map"]["b"], "model-00002-of-00002.safetensors");
  expect_all_readable(dir);
}

TEST(ModelWriter, TensorLargerThanAShardGetsItsOwn) {
  const TempDir dir;
  write_all(dir, 1);
  EXPECT_TRUE(std::filesystem::exists(dir / "model-00003-of-00003.safetensors"));
  expect_all_readable(dir);
}

TEST(ModelWriter, TakesATensorInParts) {
  const TempDir dir;
  ModelWriter writer(dir.path(), {{.name = "a", .dtype = DType::kU8, .shape = {6}}});
  const std::string data = "abcdef";
  writer.write("a", std::as_bytes(std::span(data)).first(2));
  writer.write("a", std::as_bytes(std::span(data)).subspan(2));
  writer.finish();
  EXPECT_TRUE(dir.read("model.safetensors").ends_with("abcdef"));
}

TEST(ModelWriter, AbsentFolderIsNamed) {
  expect_error(ExitCode::kDamaged, "cannot write the file",
               [] { ModelWriter writer("/nonexistent", specs()); });
}

}  // namespace
}  // namespace rung::format
