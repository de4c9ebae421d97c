#include "format/shape_file.h"

#include <gtest/gtest.h>

#include <string>

#include "format/model_folder.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::TempDir;

const std::string kSmall =
    "small:\n"
    "  model_type: llama\n"
    "  hidden_size: 8\n"
    "  intermediate_size: 16\n"
    "  num_hidden_layers: 2\n"
    "  num_attention_heads: 2\n"
    "  vocab_size: 32\n";

std::vector<NamedShape> read_text(const std::string& text) {
  const TempDir dir;
  return read_shapes(dir.write("shapes.yaml", text));
}

std::vector<NamedShape> shipped() {
  return read_shapes(std::string(RUNG_SOURCE_DIR) + "/configs/shapes.yaml");
}

int64_t num_weights(const ModelConfig& config) {
  int64_t sum = 0;
  for (const auto& [name, shape] : expected_tensors(config)) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    sum += count;
  }
  return sum;
}

TEST(ShapeFile, ThatComesWithRungHasTheModelsByTheirPublishedSizes) {
  const auto shapes = shipped();
  const auto weights = [&](const char* name) {
    return num_weights(find_shape(shapes, name).config);
  };
  EXPECT_EQ(weights("smollm2-135m"), 134515008);
  EXPECT_EQ(weights("qwen3-0.6b"), 596049920);
  EXPECT_EQ(weights("qwen3-1.7b"), 1720574976);
  EXPECT_EQ(weights("llama-3.1-8b"), 8030261248);
  EXPECT_EQ(weights("llama-3-70b"), 70553706496);
  EXPECT_LT(weights("tiny"), 1000000);
}

TEST(ShapeFile, IsReadAsConfigJsonIs) {
  const auto shapes = shipped();
  const ModelConfig& llama = find_shape(shapes, "llama-3.1-8b").config;
  EXPECT_EQ(llama.rope.kind, RopeKind::kLlama3);
  EXPECT_EQ(llama.rope.factor, 8.0);
  EXPECT_FALSE(llama.tie_word_embeddings);
  const ModelConfig& qwen = find_shape(shapes, "qwen3-0.6b").config;
  EXPECT_EQ(qwen.family, Family::kQwen3);
  EXPECT_TRUE(qwen.qk_norm);
  EXPECT_EQ(qwen.head_dim, 128);
  EXPECT_EQ(read_text(kSmall)[0].config.num_kv_heads, 2);  // as many as heads
}

TEST(ShapeFile, KeepsItsOrder) {
  const auto shapes = read_text(kSmall + "a" + kSmall);
  ASSERT_EQ(shapes.size(), 2u);
  EXPECT_EQ(shapes[0].name, "small");
  EXPECT_EQ(shapes[1].name, "asmall");
}

TEST(ShapeFile, ListsItsShapesWhereOneIsUnknown) {
  const auto shapes = read_text(kSmall + "a" + kSmall);
  expect_error(ExitCode::kUsage,
               "there is no shape of this name: got big, expected one of small, asmall",
               [&] { find_shape(shapes, "big"); });
}

TEST(ShapeFile, RefusesMisspeltAndMissingKeysTogether) {
  const std::string message = error_of(
      ExitCode::kConfig, [] { read_text("odd:\n  model_type: llama\n  hidden_sise: 8\n"); });
  EXPECT_NE(message.find("unknown key hidden_sise of the shape odd"), std::string::npos);
  EXPECT_NE(message.find("shapes.yaml:3"), std::string::npos) << message;
  EXPECT_NE(message.find("the shape odd has no hidden_size"), std::string::npos);
  EXPECT_NE(message.find("the shape odd has no vocab_size"), std::string::npos);
}

TEST(ShapeFile, RefusesValuesThatAreNone) {
  expect_error(ExitCode::kDamaged, "'head_dim' is missing or malformed: got \"many\"",
               [] { read_text(kSmall + "  head_dim: many\n"); });
  expect_error(ExitCode::kDamaged, "shape small", [] { read_text(kSmall + "  head_dim: 3\n"); });
  expect_error(ExitCode::kConfig, "'model_type' is not supported: got \"gpt2\"", [] {
    std::string text = kSmall;
    text.replace(text.find("llama"), 5, "gpt2");
    read_text(text);
  });
}

TEST(ShapeFile, RefusesFilesWithoutShapes) {
  for (const char* text : {"", "# nothing\n", "- small\n", "small\n"}) {
    expect_error(ExitCode::kConfig, "a file of shapes has no shape in it",
                 [&] { read_text(text); });
  }
  expect_error(ExitCode::kConfig, "the shape small: got 8", [] { read_text("small: 8\n"); });
  expect_error(ExitCode::kConfig, "small is set twice", [] { read_text(kSmall + kSmall); });
  expect_error(ExitCode::kConfig, "absent.yaml", [] { read_shapes("absent.yaml"); });
}

}  // namespace
}  // namespace rung::format
