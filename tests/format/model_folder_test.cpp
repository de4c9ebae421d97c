#include "format/model_folder.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/format/tiny_model.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using nlohmann::json;
using rung::testing::error_of;
using rung::testing::expect_error;
using rung::testing::TempDir;

// A tiny model in one file.
void write_model(const TempDir& dir, const json& config, const Shapes& shapes,
                 DType dtype = DType::kBF16) {
  dir.write("config.json", config.dump());
  write_zeros(dir / "model.safetensors", shapes, dtype);
}

void expect_refused(const Shapes& shapes, ExitCode code, const std::string& words,
                    const json& config = tiny_config()) {
  const TempDir dir;
  write_model(dir, config, shapes);
  expect_error(code, words, [&] { ModelFolder folder(dir.path()); });
}

// The tiny model in two shards, with an index that a test may spoil.
class ShardedModel {
 public:
  ShardedModel() {
    dir.write("config.json", tiny_config().dump());
    Shapes first;
    Shapes second;
    for (const auto& [name, shape] : shapes_of(tiny_config())) {
      const bool is_mlp = name.find(".mlp.") != std::string::npos;
      (is_mlp ? second : first)[name] = shape;
      index["weight_map"][name] = is_mlp ? "b.safetensors" : "a.safetensors";
    }
    write_zeros(dir / "a.safetensors", first);
    write_zeros(dir / "b.safetensors", second);
  }

  ModelFolder open() const {
    dir.write("model.safetensors.index.json", index.dump());
    return ModelFolder(dir.path());
  }

  void expect_error(ExitCode code, const std::string& words) const {
    rung::testing::expect_error(code, words, [&] { open(); });
  }

  TempDir dir;
  json index;
};

TEST(ModelFolder, OpensASingleFile) {
  const TempDir dir;
  write_model(dir, tiny_config(), shapes_of(tiny_config()));
  const ModelFolder folder(dir.path());
  EXPECT_EQ(folder.config().hidden_size, 8);
  EXPECT_EQ(folder.names().size(), 12U);
  EXPECT_EQ(folder.info("model.layers.0.self_attn.k_proj.weight").shape,
            (std::vector<int64_t>{4, 8}));
  EXPECT_TRUE(folder.nf4_weights().empty());
}

TEST(ModelFolder, OpensShards) {
  const ShardedModel model;
  const ModelFolder folder = model.open();
  EXPECT_EQ(folder.names().size(), 12U);
  std::vector<std::byte> data(16);
  EXPECT_NO_THROW(folder.read("model.layers.0.mlp.up_proj.weight", 0, data));
}

TEST(ModelFolder, FillsInTheStoredType) {
  const TempDir dir;
  write_model(dir, tiny_config(), shapes_of(tiny_config()), DType::kF16);
  EXPECT_EQ(ModelFolder(dir.path()).config().dtype, "float16");
}

TEST(ModelFolder, EndTokensComeFromTheGenerationConfig) {
  const TempDir dir;
  write_model(dir, tiny_config(), shapes_of(tiny_config()));
  EXPECT_EQ(ModelFolder(dir.path()).config().eos_token_ids, std::vector<int64_t>{2});
  dir.write("generation_config.json", R"({"eos_token_id":[3,4]})");
  EXPECT_EQ(ModelFolder(dir.path()).config().eos_token_ids, (std::vector<int64_t>{3, 4}));
}

TEST(ModelFolder, TensorsOfEveryVariant) {
  json config = tiny_config();
  config["attention_bias"] = config["mlp_bias"] = true;
  const Shapes biased = shapes_of(config);
  EXPECT_EQ(biased.at("model.layers.0.self_attn.o_proj.bias"), std::vector<int64_t>{8});
  EXPECT_EQ(biased.at("model.layers.0.mlp.gate_proj.bias"), std::vector<int64_t>{12});

  config = tiny_config();
  config["architectures"] = {"Qwen2ForCausalLM"};
  const Shapes qwen2 = shapes_of(config);
  EXPECT_EQ(qwen2.at("model.layers.0.self_attn.k_proj.bias"), std::vector<int64_t>{4});
  EXPECT_FALSE(qwen2.contains("model.layers.0.self_attn.o_proj.bias"));

  config["architectures"] = {"Qwen3ForCausalLM"};
  config["head_dim"] = 6;
  const Shapes qwen3 = shapes_of(config);
  EXPECT_EQ(qwen3.at("model.layers.0.self_attn.q_proj.weight"), (std::vector<int64_t>{12, 8}));
  EXPECT_EQ(qwen3.at("model.layers.0.self_attn.q_norm.weight"), std::vector<int64_t>{6});
}

TEST(ModelFolder, TiedHeadMayBeAbsentOrADuplicate) {
  json config = tiny_config();
  config["tie_word_embeddings"] = true;
  const TempDir dir;
  write_model(dir, config, shapes_of(config));
  EXPECT_FALSE(ModelFolder(dir.path()).has("lm_head.weight"));
  write_model(dir, config, shapes_of(tiny_config()));
  EXPECT_FALSE(ModelFolder(dir.path()).has("lm_head.weight"));
}

TEST(ModelFolder, RotaryFrequenciesAreIgnored) {
  Shapes shapes = shapes_of(tiny_config());
  shapes["model.layers.0.self_attn.rotary_emb.inv_freq"] = {2};
  const TempDir dir;
  write_model(dir, tiny_config(), shapes);
  EXPECT_EQ(ModelFolder(dir.path()).names().size(), 12U);
}

TEST(ModelFolderDamage, MissingTensor) {
  Shapes shapes = shapes_of(tiny_config());
  shapes.erase("model.norm.weight");
  expect_refused(shapes, ExitCode::kDamaged,
                 "tensor 'model.norm.weight' is missing: expected shape [8]");
}

TEST(ModelFolderDamage, WrongShape) {
  Shapes shapes = shapes_of(tiny_config());
  shapes["model.layers.0.mlp.up_proj.weight"] = {8, 12};
  expect_refused(shapes, ExitCode::kDamaged,
                 "tensor 'model.layers.0.mlp.up_proj.weight' has the wrong shape: got [8, 12], "
                 "expected [12, 8], as config.json implies");
}

TEST(ModelFolderDamage, TensorThatConfigDoesNotExplain) {
  Shapes shapes = shapes_of(tiny_config());
  shapes["model.layers.1.input_layernorm.weight"] = {8};
  expect_refused(shapes, ExitCode::kDamaged,
                 "tensor 'model.layers.1.input_layernorm.weight' has no place in the model");
}

TEST(ModelFolderDamage, UnsupportedType) {
  const TempDir dir;
  write_model(dir, tiny_config(), shapes_of(tiny_config()), DType::kF8E4M3);
  expect_error(ExitCode::kConfig, "is not supported: got F8_E4M3, expected F32, F16 or BF16",
               [&] { ModelFolder folder(dir.path()); });
}

TEST(ModelFolderDamage, NoConfig) {
  const TempDir dir;
  expect_error(ExitCode::kConfig, "config.json", [&] { ModelFolder folder(dir.path()); });
}

TEST(ModelFolderDamage, NoWeights) {
  const TempDir dir;
  dir.write("config.json", tiny_config().dump());
  expect_error(ExitCode::kConfig, "the model folder has no weights",
               [&] { ModelFolder folder(dir.path()); });
  dir.write("pytorch_model.bin", "");
  expect_error(ExitCode::kConfig, "safe_serialization=True",
               [&] { ModelFolder folder(dir.path()); });
}

TEST(ShardIndex, MissingShard) {
  const ShardedModel model;
  std::filesystem::remove(model.dir / "b.safetensors");
  model.expect_error(ExitCode::kConfig, "b.safetensors");
}

TEST(ShardIndex, FileNamesStayInsideTheFolder) {
  for (const char* name :
       {"../b.safetensors", "/etc/passwd", "x/b.safetensors", "..", "", "a\\b"}) {
    ShardedModel model;
    model.index["weight_map"]["model.norm.weight"] = name;
    model.expect_error(ExitCode::kDamaged,
                       "the shard of tensor 'model.norm.weight' has a bad name");
  }
}

TEST(ShardIndex, NulInAFileName) {
  ShardedModel model;
  model.index["weight_map"]["model.norm.weight"] = std::string("a.safetensors\0x", 15);
  model.expect_error(ExitCode::kDamaged, "has a bad name");
}

TEST(ShardIndex, FileNamesAreStrings) {
  ShardedModel model;
  model.index["weight_map"]["model.norm.weight"] = 1;
  model.expect_error(ExitCode::kDamaged, "has a bad name: got 1");
}

TEST(ShardIndex, TensorIsInItsShard) {
  ShardedModel model;
  model.index["weight_map"]["model.norm.weight"] = "b.safetensors";
  model.expect_error(ExitCode::kDamaged,
                     "tensor 'model.norm.weight' is not in the shard that the index names");
  model.index["weight_map"]["model.norm.weight"] = "a.safetensors";
  model.index["weight_map"]["extra"] = "b.safetensors";
  model.expect_error(ExitCode::kDamaged, "tensor 'extra' is not in the shard");
}

TEST(ShardIndex, EachTensorOnce) {
  const ShardedModel model;
  write_zeros(model.dir / "b.safetensors", shapes_of(tiny_config()));
  model.expect_error(ExitCode::kDamaged, "lies in two shards");
}

TEST(ShardIndex, HasAWeightMap) {
  ShardedModel model;
  model.index = {{"metadata", json::object()}};
  model.expect_error(ExitCode::kDamaged, "'weight_map' is missing");
  model.index = {{"weight_map", {1}}};
  model.expect_error(ExitCode::kDamaged, "'weight_map' is missing or malformed");
}

// Sets HF_HUB_CACHE for the test's own process.
class ModelCache : public ::testing::Test {
 protected:
  ModelCache() { ::setenv("HF_HUB_CACHE", cache_.path().c_str(), 1); }
  ~ModelCache() override { ::unsetenv("HF_HUB_CACHE"); }

  // Made as huggingface_hub does: the files of a snapshot are links to blobs.
  void add_snapshot(const std::string& commit) const {
    const std::string blob = "models--org--tiny/blobs/" + commit;
    const auto folder = cache_ / "models--org--tiny/snapshots" / commit;
    cache_.write(blob, tiny_config().dump());
    std::filesystem::create_directories(folder);
    std::filesystem::create_symlink("../../blobs/" + commit, folder / "config.json");
    write_zeros(folder / "model.safetensors", shapes_of(tiny_config()));
  }

  TempDir cache_;
};

TEST_F(ModelCache, FindsASnapshotOfLinks) {
  add_snapshot("abc");
  const auto folder = find_model_folder("org/tiny");
  EXPECT_EQ(folder.filename(), "abc");
  EXPECT_EQ(ModelFolder(folder).config().vocab_size, 10);
}

TEST_F(ModelCache, PrefersTheMainReference) {
  add_snapshot("one");
  add_snapshot("two");
  cache_.write("models--org--tiny/refs/main", "one\n");
  EXPECT_EQ(find_model_folder("org/tiny").filename(), "one");
}

TEST_F(ModelCache, TakesTheNewestWithoutAReference) {
  add_snapshot("old");
  add_snapshot("new");
  const auto old = cache_ / "models--org--tiny/snapshots/old";
  std::filesystem::last_write_time(old,
                                   std::filesystem::last_write_time(old) - std::chrono::hours(1));
  EXPECT_EQ(find_model_folder("org/tiny").filename(), "new");
}

TEST_F(ModelCache, ReferenceMayNotLeaveTheSnapshots) {
  add_snapshot("abc");
  cache_.write("models--org--tiny/refs/main", "../../elsewhere");
  cache_.write("elsewhere/config.json", "{}");
  EXPECT_EQ(find_model_folder("org/tiny").filename(), "abc");
}

TEST_F(ModelCache, AbsentModelNamesTheDownload) {
  const std::string message = error_of(ExitCode::kConfig, [] { find_model_folder("org/absent"); });
  EXPECT_NE(message.find("hf download org/absent"), std::string::npos) << message;
}

TEST_F(ModelCache, FoldersAreTakenAsTheyAre) {
  EXPECT_EQ(find_model_folder(cache_.path().string()), cache_.path());
}

TEST_F(ModelCache, FileAsModelHintsAtImport) {
  const auto path = cache_.write("model.gguf", "GGUF");
  expect_error(ExitCode::kConfig, "rung import", [&] { find_model_folder(path.string()); });
}

TEST_F(ModelCache, AbsentFolderIsNotTakenForAName) {
  for (const char* path : {"/nonexistent/model", "./absent", "../absent", "a/b/c", "~/absent"}) {
    const std::string message = error_of(ExitCode::kConfig, [&] { find_model_folder(path); });
    EXPECT_NE(message.find("there is no such folder"), std::string::npos) << message;
    EXPECT_EQ(message.find("hf download"), std::string::npos) << message;
  }
}

TEST_F(ModelCache, AbsentFolderNamesTheNearestOne) {
  const auto models = cache_ / "models";
  std::filesystem::create_directories(models / "smollm2-135m-instruct");
  for (const char* mistyped :
       {"models/smolm2-135m-instruct", "models/smollm2-135m", "models/smolm2",
        "modles/smollm2-135m-instruct", "models/SmolLM2-135M-instruct/"}) {
    expect_error(ExitCode::kConfig,
                 "did you mean " + (models / "smollm2-135m-instruct").string() + "?",
                 [&] { find_model_folder((cache_ / mistyped).string()); });
  }
  expect_error(ExitCode::kConfig, "give a folder, or org/name",
               [&] { find_model_folder((models / "llama").string()); });
}

TEST_F(ModelCache, ANameInAFolderThatIsHereIsAPath) {
  const auto before = std::filesystem::current_path();
  std::filesystem::create_directories(cache_ / "models/tiny");
  std::filesystem::current_path(cache_.path());
  const std::string near = error_of(ExitCode::kConfig, [] { find_model_folder("models/tinny"); });
  const std::string far = error_of(ExitCode::kConfig, [] { find_model_folder("models/llama"); });
  const std::string bare = error_of(ExitCode::kConfig, [] { find_model_folder("modells"); });
  std::filesystem::current_path(before);
  EXPECT_NE(near.find("there is no such folder"), std::string::npos) << near;
  EXPECT_NE(near.find("did you mean models/tiny?"), std::string::npos) << near;
  EXPECT_EQ(near.find("hf download"), std::string::npos) << near;
  EXPECT_NE(far.find("hf download models/llama"), std::string::npos) << far;
  EXPECT_NE(bare.find("did you mean the folder models?"), std::string::npos) << bare;
}

TEST_F(ModelCache, ATildeIsExplained) {
  const char* before = std::getenv("HOME");
  const std::string home = before == nullptr ? "" : before;
  ::setenv("HOME", cache_.path().c_str(), 1);
  std::filesystem::create_directories(cache_ / "tiny");
  const std::string message = error_of(ExitCode::kConfig, [] { find_model_folder("~/tiny"); });
  ::setenv("HOME", home.c_str(), 1);
  EXPECT_NE(message.find("a ~ is not replaced here"), std::string::npos) << message;
  EXPECT_NE(message.find("did you mean " + (cache_ / "tiny").string() + "?"), std::string::npos)
      << message;
}

}  // namespace
}  // namespace rung::format
