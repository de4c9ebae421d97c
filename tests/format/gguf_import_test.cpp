// `rung import` on tiny models: names, shapes, values and row order; configurations; what is
// refused leaves nothing behind.
#include "format/gguf_import.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/json.h"
#include "base/publish.h"
#include "format/float_convert.h"
#include "format/model_config.h"
#include "format/safetensors.h"
#include "tests/format/tiny_gguf.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using testing::expect_error;
using testing::GgufBuilder;
using testing::ramp;
using testing::TempDir;
using testing::tiny_gguf;

// A file and the folder made of it.
class Imported {
 public:
  explicit Imported(const GgufBuilder& builder, DType dtype = DType::kF32) {
    summary = import_gguf(
        {.gguf = dir_.write("m.gguf", builder.build()), .out_dir = folder(), .dtype = dtype});
  }

  std::filesystem::path folder() const { return dir_ / "out"; }
  ModelConfig config() const { return read_model_config(folder() / "config.json"); }
  Json json(const std::string& name) const { return read_json_file(folder() / name); }
  SafetensorsFile weights() const { return SafetensorsFile(folder() / "model.safetensors"); }

  std::vector<float> floats(const std::string& name) const {
    const SafetensorsFile file = weights();
    std::vector<float> values(static_cast<size_t>(file.tensors().at(name).num_elements()));
    file.read(name, 0, std::as_writable_bytes(std::span(values)));
    return values;
  }

  ImportSummary summary;

 private:
  TempDir dir_;
};

void expect_import_refused(const GgufBuilder& builder, ExitCode code, const std::string& words,
                           DType dtype = DType::kF32) {
  const TempDir dir;
  const std::filesystem::path path = dir.write("m.gguf", builder.build());
  expect_error(code, words,
               [&] { import_gguf({.gguf = path, .out_dir = dir / "out", .dtype = dtype}); });
  const auto entries = std::filesystem::directory_iterator(dir.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "something was left behind";
}

TEST(GgufImport, GivesTheTensorsTheirNamesAndShapes) {
  const SafetensorsFile file = Imported(tiny_gguf()).weights();
  EXPECT_EQ(file.tensors().size(), 20U);
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(file.tensors().at("model.embed_tokens.weight").shape, (Shape{8, 32}));
  EXPECT_EQ(file.tensors().at("model.layers.1.self_attn.k_proj.weight").shape, (Shape{16, 32}));
  EXPECT_EQ(file.tensors().at("model.layers.0.mlp.down_proj.weight").shape, (Shape{32, 64}));
  EXPECT_EQ(file.tensors().at("model.norm.weight").shape, (Shape{32}));
  EXPECT_EQ(file.tensors().count("lm_head.weight"), 0U);
}

TEST(GgufImport, CopiesTheValues) {
  EXPECT_EQ(Imported(tiny_gguf()).floats("model.layers.1.self_attn.v_proj.weight"), ramp(16, 32));
}

// In column 0 of a ramp the value is the file's row.
std::vector<float> first_column(const std::vector<float>& values) {
  std::vector<float> column;
  for (size_t i = 0; i < values.size(); i += 32) column.push_back(values[i]);
  return column;
}

TEST(GgufImport, UndoesTheRowOrderOfLlama) {
  const Imported imported(tiny_gguf());
  EXPECT_EQ(first_column(imported.floats("model.layers.0.self_attn.k_proj.weight")),
            (std::vector<float>{0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15}));
}

TEST(GgufImport, KeepsTheRowOrderOfQwen) {
  GgufBuilder builder = tiny_gguf("qwen3");
  for (const char* name : {"blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight",
                           "blk.1.attn_q_norm.weight", "blk.1.attn_k_norm.weight"}) {
    testing::add_vector(builder, name, 8);
  }
  const Imported imported(builder);
  EXPECT_EQ(imported.floats("model.layers.0.self_attn.k_proj.weight"), ramp(16, 32));
  EXPECT_EQ(imported.floats("model.layers.1.self_attn.q_norm.weight"), ramp(8, 1));
  EXPECT_TRUE(imported.config().qk_norm);
}

TEST(GgufImport, UndoesTheOrderOfLlamasBiases) {
  GgufBuilder builder = tiny_gguf();
  for (const std::string block : {"blk.0.", "blk.1."}) {
    testing::add_vector(builder, block + "attn_q.bias", 32);
    testing::add_vector(builder, block + "attn_k.bias", 16);
    testing::add_vector(builder, block + "attn_v.bias", 16);
    testing::add_vector(builder, block + "attn_output.bias", 32);
  }
  const Imported imported(builder);
  EXPECT_EQ(imported.floats("model.layers.0.self_attn.k_proj.bias"),
            (std::vector<float>{0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15}));
  EXPECT_EQ(imported.floats("model.layers.0.self_attn.v_proj.bias"), ramp(16, 1));
  EXPECT_TRUE(imported.config().attention_bias);
}

TEST(GgufImport, KeepsTheBiasesOfQwen2) {
  GgufBuilder builder = tiny_gguf("qwen2");
  for (const std::string block : {"blk.0.", "blk.1."}) {
    testing::add_vector(builder, block + "attn_q.bias", 32);
    testing::add_vector(builder, block + "attn_k.bias", 16);
    testing::add_vector(builder, block + "attn_v.bias", 16);
  }
  const Imported imported(builder);
  EXPECT_EQ(imported.floats("model.layers.1.self_attn.q_proj.bias"), ramp(32, 1));
  EXPECT_EQ(imported.config().architecture, "Qwen2ForCausalLM");
}

TEST(GgufImport, WritesAnUntiedHead) {
  GgufBuilder builder = tiny_gguf();
  testing::add_matrix(builder, "output.weight", 8, 32);
  const Imported imported(builder);
  EXPECT_EQ(imported.floats("lm_head.weight"), ramp(8, 32));
  EXPECT_FALSE(imported.config().tie_word_embeddings);
}

TEST(GgufImport, DequantisesAndOrdersQuantisedRows) {
  GgufBuilder builder = tiny_gguf();
  std::string rows;  // Q8_0: row r is 0.5 r throughout
  for (char row = 0; row < 16; ++row) {
    rows += GgufBuilder::bytes_of(uint16_t{0x3800}) + std::string(32, row);
  }
  builder.remove_tensor("blk.0.attn_k.weight");
  builder.add_tensor(
      {.name = "blk.0.attn_k.weight", .shape = {16, 32}, .type = 8, .data = rows, .offset = {}});
  EXPECT_EQ(first_column(Imported(builder).floats("model.layers.0.self_attn.k_proj.weight")),
            (std::vector<float>{0, 1, 2, 3, .5, 1.5, 2.5, 3.5, 4, 5, 6, 7, 4.5, 5.5, 6.5, 7.5}));
}

// The norm's values after import as `dtype`, in the file's own bits.
std::vector<uint16_t> rounded(const std::vector<float>& values, DType dtype) {
  GgufBuilder builder = tiny_gguf();
  builder.remove_tensor("output_norm.weight");
  builder.add_floats("output_norm.weight", {32}, values);
  const Imported imported(builder, dtype);
  std::vector<uint16_t> bits(32);
  imported.weights().read("model.norm.weight", 0, std::as_writable_bytes(std::span(bits)));
  return bits;
}

// 1 + k / 2^p for k = 0..31: with p one more than the type's fraction bits every odd k is a tie.
std::vector<float> ties(int fraction_bits) {
  std::vector<float> values;
  for (int k = 0; k < 32; ++k) {
    values.push_back(1.0F + std::ldexp(static_cast<float>(k), -fraction_bits - 1));
  }
  return values;
}

uint16_t nearest_even(int k) {  // k / 2, ties to even
  return static_cast<uint16_t>(k % 4 == 3 ? k / 2 + 1 : k / 2);
}

TEST(GgufImport, RoundsToBfloat16TiesToEven) {
  const std::vector<uint16_t> bits = rounded(ties(7), DType::kBF16);
  for (int k = 0; k < 32; ++k) EXPECT_EQ(bits[static_cast<size_t>(k)], 0x3f80 + nearest_even(k));
}

TEST(GgufImport, RoundsToHalfTiesToEven) {
  const std::vector<uint16_t> bits = rounded(ties(10), DType::kF16);
  for (int k = 0; k < 32; ++k) EXPECT_EQ(bits[static_cast<size_t>(k)], 0x3c00 + nearest_even(k));
}

TEST(GgufImport, RoundsSubnormalHalvesTiesToEven) {
  std::vector<float> values;
  for (int k = 0; k < 32; ++k) values.push_back(std::ldexp(static_cast<float>(k), -25));
  const std::vector<uint16_t> bits = rounded(values, DType::kF16);
  for (int k = 0; k < 32; ++k) EXPECT_EQ(bits[static_cast<size_t>(k)], nearest_even(k));
}

TEST(GgufImport, ExactHalvesStayAsTheyAre) {
  std::vector<float> values;
  for (uint16_t i = 0; i < 31; ++i)
    values.push_back(half_to_float(static_cast<uint16_t>(i * 1023)));
  values.push_back(half_to_float(0xfbff));  // -65504
  const std::vector<uint16_t> bits = rounded(values, DType::kF16);
  for (uint16_t i = 0; i < 31; ++i) EXPECT_EQ(bits[i], i * 1023);
  EXPECT_EQ(bits[31], 0xfbff);
}

TEST(GgufImport, RefusesValuesThatDoNotFitHalf) {
  GgufBuilder builder = tiny_gguf();
  builder.remove_tensor("output_norm.weight");
  builder.add_floats("output_norm.weight", {32}, std::vector<float>(32, 70000.0F));
  expect_import_refused(builder, ExitCode::kConfig,
                        "tensor output_norm.weight: a value is too large for the type: got 70000",
                        DType::kF16);
}

TEST(GgufImport, RefusesValuesThatAreNotFinite) {
  GgufBuilder builder = tiny_gguf();
  builder.remove_tensor("output_norm.weight");
  builder.add_floats("output_norm.weight", {32},
                     std::vector<float>(32, std::numeric_limits<float>::quiet_NaN()));
  expect_import_refused(builder, ExitCode::kDamaged, "output_norm.weight: a value is not finite");
}

// --- config.json

TEST(GgufImport, WritesAConfigThatReadsBack) {
  const ModelConfig config = Imported(tiny_gguf(), DType::kBF16).config();
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.vocab_size, 8);
  EXPECT_EQ(config.num_layers, 2);
  EXPECT_EQ(config.num_heads, 4);
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.max_position_embeddings, 128);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.rope.theta, 100000.0);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_EQ(config.bos_token_id, 0);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{0}));
}

TEST(GgufImport, NamesEveryTokenThatEndsAnAnswer) {
  GgufBuilder builder = tiny_gguf();
  builder.add("tokenizer.ggml.eot_token_id", uint32_t{6});
  const Imported imported(builder);
  EXPECT_EQ(imported.json("generation_config.json")["eos_token_id"], (Json{0, 6}));
  EXPECT_EQ(imported.config().eos_token_ids, (std::vector<int64_t>{0, 6}));
}

TEST(GgufImport, TakesSizesThatAreGivenPerLayer) {
  GgufBuilder builder = tiny_gguf();
  builder.set("llama.attention.head_count_kv", std::vector<int32_t>{2, 2});
  EXPECT_EQ(Imported(builder).config().num_kv_heads, 2);
}

TEST(GgufImport, RefusesLayersOfDifferentSizes) {
  GgufBuilder builder = tiny_gguf();
  builder.set("llama.attention.head_count_kv", std::vector<int32_t>{2, 4});
  expect_import_refused(builder, ExitCode::kConfig, "head_count_kv is not supported");
}

TEST(GgufImport, ReadsLinearScaling) {
  GgufBuilder builder = tiny_gguf();
  builder.add("llama.rope.scaling.type", "linear");
  builder.add("llama.rope.scaling.factor", 4.0F);
  const RopeConfig rope = Imported(builder).config().rope;
  EXPECT_EQ(rope.kind, RopeKind::kLinear);
  EXPECT_EQ(rope.factor, 4.0);
}

TEST(GgufImport, ReadsYarnScaling) {
  GgufBuilder builder = tiny_gguf();
  builder.add("llama.rope.scaling.type", "yarn");
  builder.add("llama.rope.scaling.factor", 4.0F);
  builder.add("llama.rope.scaling.original_context_length", uint32_t{32});
  const RopeConfig rope = Imported(builder).config().rope;
  EXPECT_EQ(rope.kind, RopeKind::kYarn);
  EXPECT_EQ(rope.original_max_position_embeddings, 32);
}

// What the converter writes for Llama 3.2 (theta 500000, factor 32), here with a head of 8: the
// third wavelength, 4443 positions, lies where the scaling fades in.
TEST(GgufImport, FindsLlama3ScalingInItsFactors) {
  GgufBuilder builder = tiny_gguf();
  builder.set("llama.rope.freq_base", 500000.0F);
  builder.add_floats("rope_freqs.weight", {4}, {1, 1, 3.2922621F, 32});
  const RopeConfig rope = Imported(builder).config().rope;
  EXPECT_EQ(rope.kind, RopeKind::kLlama3);
  EXPECT_EQ(rope.factor, 32.0);
  EXPECT_EQ(rope.low_freq_factor, 1.0);
  EXPECT_EQ(rope.high_freq_factor, 4.0);
  EXPECT_EQ(rope.original_max_position_embeddings, 8192);
}

TEST(GgufImport, RefusesOtherRopeFactors) {
  GgufBuilder builder = tiny_gguf();
  builder.add_floats("rope_freqs.weight", {4}, {1, 2, 3, 32});
  expect_import_refused(builder, ExitCode::kConfig,
                        "the factors are not those of Llama 3's scaling");
}

TEST(GgufImport, RefusesPartialRotary) {
  GgufBuilder builder = tiny_gguf();
  builder.add("llama.rope.dimension_count", uint32_t{4});
  expect_import_refused(builder, ExitCode::kConfig, "llama.rope.dimension_count is not supported");
}

TEST(GgufImport, RefusesOtherArchitecturesByName) {
  expect_import_refused(tiny_gguf("phi3"), ExitCode::kConfig,
                        "general.architecture is not supported: got phi3");
}

TEST(GgufImport, RefusesExperts) {
  GgufBuilder builder = tiny_gguf();
  builder.add("llama.expert_count", uint32_t{8});
  expect_import_refused(builder, ExitCode::kConfig, "mixtures of experts are not supported");
}

TEST(GgufImport, RefusesAMissingTensor) {
  GgufBuilder builder = tiny_gguf();
  builder.remove_tensor("blk.1.ffn_up.weight");
  expect_import_refused(builder, ExitCode::kDamaged, "tensor blk.1.ffn_up.weight is missing");
}

TEST(GgufImport, RefusesATensorItHasNoPlaceFor) {
  GgufBuilder builder = tiny_gguf();
  testing::add_vector(builder, "blk.0.attn_sinks.weight", 4);
  expect_import_refused(builder, ExitCode::kConfig, "tensor blk.0.attn_sinks.weight has no place");
}

TEST(GgufImport, RefusesAShapeThatTheKeysContradict) {
  GgufBuilder builder = tiny_gguf();
  builder.set("llama.feed_forward_length", uint32_t{96});
  expect_import_refused(
      builder, ExitCode::kDamaged,
      "blk.0.ffn_gate.weight has another shape than the keys imply: got [64, 32], "
      "expected [96, 32]");
}

TEST(GgufImport, RefusesAMissingKey) {
  GgufBuilder builder = tiny_gguf();
  builder.remove("llama.block_count");
  expect_import_refused(builder, ExitCode::kDamaged, "llama.block_count is missing");
}

// --- the folder

TEST(GgufImport, PublishesAFolderThatVerifies) {
  EXPECT_EQ(verify_manifest(Imported(tiny_gguf()).folder()).size(), 5U);
}

TEST(GgufImport, SplitsLargeModelsIntoShards) {
  const TempDir dir;
  import_gguf({.gguf = dir.write("m.gguf", tiny_gguf().build()),
               .out_dir = dir / "out",
               .dtype = DType::kF32,
               .max_shard_bytes = 40000});
  EXPECT_TRUE(std::filesystem::exists(dir / "out/model.safetensors.index.json"));
}

TEST(GgufImport, FillsAnEmptyFolder) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "out");
  import_gguf({.gguf = dir.write("m.gguf", tiny_gguf().build()), .out_dir = dir / "out"});
  EXPECT_TRUE(std::filesystem::exists(dir / "out/config.json"));
}

TEST(GgufImport, RefusesAFolderInUse) {
  const TempDir dir;
  dir.write("out/mine.txt", "keep");
  expect_error(ExitCode::kConfig, "the output folder is in use", [&] {
    import_gguf({.gguf = dir.write("m.gguf", tiny_gguf().build()), .out_dir = dir / "out"});
  });
  EXPECT_EQ(dir.read("out/mine.txt"), "keep");
}

TEST(GgufImport, ImportsTheRealModel) {
  const std::filesystem::path file =
      std::filesystem::path(RUNG_SOURCE_DIR) / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "the model was not downloaded";
  const TempDir dir;
  const ImportSummary summary = import_gguf({.gguf = file, .out_dir = dir / "out"});
  EXPECT_EQ(summary.num_tensors, 272);
  EXPECT_EQ(summary.num_parameters, 134515008);
  EXPECT_TRUE(summary.warnings.empty());
  EXPECT_EQ(read_model_config(dir / "out/config.json").num_layers, 30);
}

}  // namespace
}  // namespace rung::format
