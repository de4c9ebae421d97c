#include "format/adapter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "format/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using rung::testing::expect_error;
using rung::testing::TempDir;

std::filesystem::path golden() {
  return std::filesystem::path(RUNG_TEST_DATA) / "golden" / "format" / "adapter";
}

AdapterFolder small_adapter() {
  AdapterFolder adapter;
  adapter.config.r = 2;
  adapter.config.lora_alpha = 4;
  adapter.config.lora_dropout = 0.05;
  adapter.config.target_modules = {"q_proj", "down_proj"};
  adapter.config.base_model_name_or_path = "org/model";
  for (const char* module : {"model.layers.0.mlp.down_proj", "model.layers.0.self_attn.q_proj"}) {
    AdapterTensor tensor{.module = module, .in_features = 3, .out_features = 1, .a = {}, .b = {}};
    tensor.a = {1, 2, 3, 4, 5, 6};
    tensor.b = {-1, 0.5};
    adapter.tensors.push_back(tensor);
  }
  return adapter;
}

// The golden folder with one key of its configuration replaced.
void expect_key_refused(const std::string& key, const nlohmann::json& value,
                        const std::string& words) {
  const TempDir dir;
  std::filesystem::copy(golden(), dir.path());
  auto config = nlohmann::json::parse(dir.read("adapter_config.json"));
  config[key] = value;
  dir.write("adapter_config.json", config.dump());
  expect_error(ExitCode::kConfig, words, [&] { read_adapter(dir.path()); });
}

// A folder with a sound configuration (r 2) and these tensors.
void expect_tensors_refused(ExitCode code, const std::string& words,
                            const std::vector<TensorToWrite>& tensors) {
  const TempDir dir;
  write_adapter(dir.path(), small_adapter());
  write_safetensors(dir / "adapter_model.safetensors", tensors, {});
  expect_error(code, words, [&] { read_adapter(dir.path()); });
}

TensorToWrite tensor(const std::string& name, std::vector<int64_t> shape, DType dtype) {
  static const std::vector<std::byte> zeros(1024);
  const TensorSpec spec{.name = name, .dtype = dtype, .shape = shape};
  return {.name = name,
          .dtype = dtype,
          .shape = shape,
          .data = std::span(zeros).first(static_cast<size_t>(spec.num_bytes()))};
}

TEST(Adapter, RoundTripKeepsEverything) {
  const TempDir dir;
  const AdapterFolder written = small_adapter();
  write_adapter(dir.path(), written);
  const AdapterFolder read = read_adapter(dir.path());
  EXPECT_EQ(read.config.r, 2);
  EXPECT_EQ(read.config.lora_alpha, 4.0);
  EXPECT_EQ(read.config.lora_dropout, 0.05);
  EXPECT_EQ(read.config.target_modules, written.config.target_modules);
  EXPECT_EQ(read.config.base_model_name_or_path, "org/model");
  ASSERT_EQ(read.tensors.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.tensors[i].module, written.tensors[i].module);
    EXPECT_EQ(read.tensors[i].in_features, 3);
    EXPECT_EQ(read.tensors[i].out_features, 1);
    EXPECT_EQ(read.tensors[i].a, written.tensors[i].a);
    EXPECT_EQ(read.tensors[i].b, written.tensors[i].b);
  }
}

TEST(Adapter, ReadsAnAdapterWrittenByPeft) {
  const AdapterFolder adapter = read_adapter(golden());
  EXPECT_EQ(adapter.config.r, 4);
  EXPECT_EQ(adapter.config.lora_dropout, 0.05);
  EXPECT_TRUE(adapter.config.use_rslora);
  EXPECT_DOUBLE_EQ(adapter.config.scaling(), 8.0 / 2.0);
  ASSERT_EQ(adapter.tensors.size(), 2U);
  std::ifstream file(golden() / "checksums.json");
  const auto sums = nlohmann::json::parse(file);
  for (const AdapterTensor& pair : adapter.tensors) {
    const auto sum = [](const std::vector<float>& values) {
      return std::accumulate(values.begin(), values.end(), 0.0);
    };
    const std::string prefix = "base_model.model." + pair.module;
    // The same doubles in another order: only their last digits differ.
    EXPECT_NEAR(sum(pair.a), sums.at(prefix + ".lora_A.weight").get<double>(), 1e-9);
    EXPECT_NEAR(sum(pair.b), sums.at(prefix + ".lora_B.weight").get<double>(), 1e-9);
  }
}

TEST(Adapter, TensorFileDependsOnTheTensorsAlone) {
  const TempDir first;
  const TempDir second;
  AdapterFolder adapter = small_adapter();
  write_adapter(first.path(), adapter);
  adapter.config.base_model_name_or_path = "elsewhere";
  adapter.config.lora_dropout = 0.5;
  std::swap(adapter.tensors[0], adapter.tensors[1]);
  write_adapter(second.path(), adapter);
  EXPECT_EQ(first.read("adapter_model.safetensors"), second.read("adapter_model.safetensors"));
}

TEST(Adapter, ConfigHasSortedClassicKeys) {
  const TempDir dir;
  write_adapter(dir.path(), small_adapter());
  EXPECT_EQ(dir.read("adapter_config.json"), R"({
  "alpha_pattern": {},
  "auto_mapping": null,
  "base_model_name_or_path": "org/model",
  "bias": "none",
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "layers_pattern": null,
  "layers_to_transform": null,
  "lora_alpha": 4,
  "lora_dropout": 0.05,
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": 2,
  "rank_pattern": {},
  "revision": null,
  "target_modules": [
    "q_proj",
    "down_proj"
  ],
  "task_type": "CAUSAL_LM"
}
)");
}

TEST(Adapter, TargetExpressionStaysAnExpression) {
  const TempDir dir;
  AdapterFolder adapter = small_adapter();
  adapter.config.target_modules.clear();
  adapter.config.target_regex = R"(.*\.(q|v)_proj)";
  adapter.config.use_rslora = true;
  write_adapter(dir.path(), adapter);
  const AdapterConfig config = read_adapter_config(dir.path());
  EXPECT_EQ(config.target_regex, R"(.*\.(q|v)_proj)");
  EXPECT_TRUE(config.target_modules.empty());
  EXPECT_TRUE(config.use_rslora);
}

TEST(Adapter, ReadsSixteenBitTensors) {
  const TempDir dir;
  write_adapter(dir.path(), small_adapter());
  const std::vector<uint16_t> half = {0x3c00, 0xc000, 0x0001, 0x7bff};   // 1, -2, 2^-24, 65504
  const std::vector<uint16_t> brain = {0x3f80, 0xc000, 0x0001, 0x7f7f};  // 1, -2, tiny, huge
  const std::string prefix = "base_model.model.m.lora_";
  write_safetensors(dir / "adapter_model.safetensors",
                    {{.name = prefix + "A.weight",
                      .dtype = DType::kF16,
                      .shape = {2, 2},
                      .data = std::as_bytes(std::span(half))},
                     {.name = prefix + "B.weight",
                      .dtype = DType::kBF16,
                      .shape = {2, 2},
                      .data = std::as_bytes(std::span(brain))}},
                    {});
  const AdapterTensor pair = read_adapter(dir.path()).tensors.at(0);
  EXPECT_EQ(pair.a, (std::vector<float>{1, -2, 0x1p-24F, 65504}));
  EXPECT_EQ(pair.b, (std::vector<float>{1, -2, 0x1p-133F, 0x1.fep127F}));
}

TEST(AdapterRefusals, FeaturesAreNamed) {
  expect_key_refused("use_dora", true, "'use_dora' is not supported");
  expect_key_refused("modules_to_save", {"lm_head"}, "'modules_to_save' is not supported");
  expect_key_refused("rank_pattern", {{"q_proj", 8}}, "'rank_pattern' is not supported");
  expect_key_refused("alpha_pattern", {{"q_proj", 8}}, "'alpha_pattern' is not supported");
  expect_key_refused("lora_bias", true, "'lora_bias' is not supported");
  expect_key_refused("fan_in_fan_out", true, "'fan_in_fan_out' is not supported");
  expect_key_refused("layers_to_transform", {0}, "'layers_to_transform' is not supported");
  expect_key_refused("layer_replication", {{0, 1}}, "'layer_replication' is not supported");
  expect_key_refused("bias", "all", "'bias' is not supported: got \"all\", expected none");
  expect_key_refused("peft_type", "IA3", "'peft_type' is not supported: got \"IA3\"");
  expect_key_refused("task_type", "SEQ_CLS", "'task_type' is not supported");
  expect_key_refused("init_lora_weights", "pissa", "'init_lora_weights' is not supported");
}

TEST(AdapterRefusals, FeaturesOfTheFutureAreNamedToo) {
  expect_key_refused("use_something_new", true, "'use_something_new' is not supported");
}

TEST(AdapterRefusals, AbsentFolderIsAConfigError) {
  expect_error(ExitCode::kConfig, "adapter_config.json",
               [] { read_adapter("/nonexistent/adapter"); });
}

TEST(AdapterRefusals, PickledTensorsAreNotRead) {
  const TempDir dir;
  write_adapter(dir.path(), small_adapter());
  std::filesystem::rename(dir / "adapter_model.safetensors", dir / "adapter_model.bin");
  expect_error(ExitCode::kConfig, "adapter_model.bin", [&] { read_adapter(dir.path()); });
}

TEST(AdapterRefusals, TargetModulesAreRequired) {
  const TempDir dir;
  dir.write("adapter_config.json", R"({"peft_type":"LORA","target_modules":[]})");
  expect_error(ExitCode::kDamaged, "'target_modules' is missing",
               [&] { read_adapter_config(dir.path()); });
}

TEST(AdapterRefusals, RankIsInRange) {
  const TempDir dir;
  dir.write("adapter_config.json", R"({"peft_type":"LORA","target_modules":["q"],"r":0})");
  expect_error(ExitCode::kDamaged, "'r' is missing or malformed: got 0, expected an integer in 1..",
               [&] { read_adapter_config(dir.path()); });
}

TEST(AdapterRefusals, BothHalvesOfAPairExist) {
  expect_tensors_refused(ExitCode::kDamaged, "'base_model.model.m.lora_B.weight' is missing",
                         {tensor("base_model.model.m.lora_A.weight", {2, 3}, DType::kF32)});
}

TEST(AdapterRefusals, ShapesFollowTheRank) {
  expect_tensors_refused(ExitCode::kDamaged, "got F32 [4, 3], expected F32, F16 or BF16 [2, in]",
                         {tensor("base_model.model.m.lora_A.weight", {4, 3}, DType::kF32),
                          tensor("base_model.model.m.lora_B.weight", {3, 4}, DType::kF32)});
}

TEST(AdapterRefusals, OtherTypesAreRefused) {
  expect_tensors_refused(ExitCode::kDamaged, "got I32 [2, 3]",
                         {tensor("base_model.model.m.lora_A.weight", {2, 3}, DType::kI32),
                          tensor("base_model.model.m.lora_B.weight", {3, 2}, DType::kF32)});
}

TEST(AdapterRefusals, TensorsBeyondPlainLoraAreNamed) {
  expect_tensors_refused(ExitCode::kConfig, "DoRA",
                         {tensor("base_model.model.m.lora_magnitude_vector", {3}, DType::kF32)});
  expect_tensors_refused(ExitCode::kConfig, "LoRA on embeddings",
                         {tensor("base_model.model.e.lora_embedding_A", {2, 3}, DType::kF32)});
  expect_tensors_refused(ExitCode::kConfig, "modules_to_save",
                         {tensor("base_model.model.lm_head.weight", {2, 3}, DType::kF32)});
}

TEST(AdapterRefusals, NoTensorsAtAll) {
  expect_tensors_refused(ExitCode::kDamaged, "the adapter has no tensors", {});
}

TEST(AdapterConfig, ScalingDividesByRankOrItsRoot) {
  AdapterConfig config{.r = 16, .lora_alpha = 8.0};
  EXPECT_DOUBLE_EQ(config.scaling(), 0.5);
  config.use_rslora = true;
  EXPECT_DOUBLE_EQ(config.scaling(), 2.0);
}

}  // namespace
}  // namespace rung::format
