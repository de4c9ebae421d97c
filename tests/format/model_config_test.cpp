#include "format/model_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using nlohmann::json;
using rung::testing::expect_error;
using rung::testing::TempDir;

ModelConfig read(const json& config) {
  const TempDir dir;
  return read_model_config(dir.write("config.json", config.dump()));
}

ModelConfig read_golden(const std::string& name) {
  return read_model_config(std::filesystem::path(RUNG_TEST_DATA) / "golden/format/configs" / name);
}

// A small Llama in the v4 dialect, with `changes` merged in (null removes nothing: it is written).
json llama(const json& changes = json::object()) {
  json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"vocab_size", 100},
                 {"hidden_size", 64},
                 {"intermediate_size", 96},
                 {"num_hidden_layers", 2},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2}};
  config.update(changes);
  return config;
}

json family(const std::string& architecture, const json& changes = json::object()) {
  json config = llama({{"architectures", {architecture}}});
  config.update(changes);
  return config;
}

void expect_refused(const json& changes, const std::string& words) {
  expect_error(ExitCode::kConfig, words, [&] { read(llama(changes)); });
}

void expect_damaged(const json& changes, const std::string& words) {
  expect_error(ExitCode::kDamaged, words, [&] { read(llama(changes)); });
}

TEST(ModelConfig, ReadsLlamaOfTransformers5) {
  const ModelConfig config = read_golden("llama.json");
  EXPECT_EQ(config.family, Family::kLlama);
  EXPECT_EQ(config.vocab_size, 32);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.intermediate_size, 96);
  EXPECT_EQ(config.num_layers, 1);
  EXPECT_EQ(config.num_heads, 4);
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.max_position_embeddings, 128);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.eos_token_ids, std::vector<int64_t>{2});
}

TEST(ModelConfig, ReadsLlama3RopeOfBothDialects) {
  const json v4 = llama({{"rope_theta", 500000.0},
                         {"max_position_embeddings", 128},
                         {"rope_scaling",
                          {{"type", "llama3"},
                           {"factor", 8.0},
                           {"low_freq_factor", 1.0},
                           {"high_freq_factor", 4.0},
                           {"original_max_position_embeddings", 64}}}});
  for (const RopeConfig& rope : {read_golden("llama.json").rope, read(v4).rope}) {
    EXPECT_EQ(rope.kind, RopeKind::kLlama3);
    EXPECT_EQ(rope.theta, 500000.0);
    EXPECT_EQ(rope.factor, 8.0);
    EXPECT_EQ(rope.low_freq_factor, 1.0);
    EXPECT_EQ(rope.high_freq_factor, 4.0);
    EXPECT_EQ(rope.original_max_position_embeddings, 64);
  }
}

TEST(ModelConfig, ReadsMistralOfTransformers5) {
  const ModelConfig config = read_golden("mistral.json");
  EXPECT_EQ(config.family, Family::kMistral);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_FALSE(config.sliding_window);
  EXPECT_FALSE(config.attention_bias);
}

TEST(ModelConfig, ReadsQwen2OfTransformers5) {
  const ModelConfig config = read_golden("qwen2.json");
  EXPECT_EQ(config.family, Family::kQwen2);
  EXPECT_TRUE(config.attention_bias);
  EXPECT_FALSE(config.attention_out_bias);
  EXPECT_FALSE(config.sliding_window) << "no layer has it";
  EXPECT_TRUE(config.eos_token_ids.empty());
}

TEST(ModelConfig, ReadsQwen3OfTransformers5) {
  const ModelConfig config = read_golden("qwen3.json");
  EXPECT_EQ(config.family, Family::kQwen3);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_TRUE(config.qk_norm);
  EXPECT_FALSE(config.attention_bias);
}

TEST(ModelConfig, FillsInClassDefaults) {
  const ModelConfig config = read({{"architectures", {"LlamaForCausalLM"}}});
  EXPECT_EQ(config.hidden_size, 4096);
  EXPECT_EQ(config.intermediate_size, 11008);
  EXPECT_EQ(config.vocab_size, 32000);
  EXPECT_EQ(config.num_kv_heads, 32);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope.theta, 10000.0);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.dtype, "");
}

TEST(ModelConfig, MissingKeyValueHeadsFollowTheFamily) {
  json mistral = family("MistralForCausalLM", {{"num_attention_heads", 16}});
  mistral.erase("num_key_value_heads");
  EXPECT_EQ(read(mistral).num_kv_heads, 8);
  mistral["num_key_value_heads"] = nullptr;
  EXPECT_EQ(read(mistral).num_kv_heads, 16);
}

TEST(ModelConfig, Qwen3HeadsAre128WhereNotGiven) {
  EXPECT_EQ(read(family("Qwen3ForCausalLM")).head_dim, 128);
  EXPECT_EQ(read(family("Qwen2ForCausalLM")).head_dim, 16);
}

TEST(ModelConfig, ModelTypeStandsInForArchitectures) {
  json config = llama({{"model_type", "qwen3"}});
  config.erase("architectures");
  EXPECT_EQ(read(config).architecture, "Qwen3ForCausalLM");
}

TEST(ModelConfig, LlamaBiases) {
  const ModelConfig config = read(llama({{"attention_bias", true}, {"mlp_bias", true}}));
  EXPECT_TRUE(config.attention_bias);
  EXPECT_TRUE(config.attention_out_bias);
  EXPECT_TRUE(config.mlp_bias);
}

TEST(ModelConfig, SeveralEndTokens) {
  EXPECT_EQ(read(llama({{"eos_token_id", {7, 8, 9}}})).eos_token_ids,
            (std::vector<int64_t>{7, 8, 9}));
  EXPECT_TRUE(read(llama({{"eos_token_id", nullptr}})).eos_token_ids.empty());
}

TEST(ModelConfig, DtypeOfBothDialects) {
  EXPECT_EQ(read(llama({{"torch_dtype", "float16"}})).dtype, "float16");
  EXPECT_EQ(read(llama({{"dtype", "float32"}})).dtype, "float32");
}

TEST(ModelConfig, SlidingWindowOfMistral) {
  EXPECT_EQ(read(family("MistralForCausalLM")).sliding_window, 4096);
  EXPECT_EQ(read(family("MistralForCausalLM", {{"sliding_window", 512}})).sliding_window, 512);
  EXPECT_FALSE(read(family("MistralForCausalLM", {{"sliding_window", nullptr}})).sliding_window);
}

TEST(ModelConfig, SlidingWindowOfQwenNeedsItsSwitchAndALayer) {
  const auto window = [](const json& changes) {
    return read(family("Qwen2ForCausalLM", changes)).sliding_window;
  };
  EXPECT_FALSE(window({{"sliding_window", 512}}));
  EXPECT_FALSE(window({{"sliding_window", 512}, {"use_sliding_window", true}}));
  EXPECT_EQ(
      window({{"sliding_window", 512}, {"use_sliding_window", true}, {"max_window_layers", 1}}),
      512);
  EXPECT_EQ(window({{"sliding_window", 512},
                    {"use_sliding_window", true},
                    {"layer_types", {"full_attention", "sliding_attention"}}}),
            512);
}

TEST(ModelConfig, SlidingWindowOfLlamaIsIgnored) {
  EXPECT_FALSE(read(llama({{"sliding_window", 512}})).sliding_window);
}

TEST(RopeConfig, LinearOfBothDialects) {
  const json v4 = llama({{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}});
  const json v5 = llama({{"rope_parameters", {{"rope_type", "linear"}, {"factor", 2.0}}}});
  for (const json& config : {v4, v5}) {
    EXPECT_EQ(read(config).rope.kind, RopeKind::kLinear);
    EXPECT_EQ(read(config).rope.factor, 2.0);
  }
}

TEST(RopeConfig, YarnWithAllItsKeys) {
  const RopeConfig rope = read(llama({{"rope_parameters",
                                       {{"rope_type", "yarn"},
                                        {"rope_theta", 1e6},
                                        {"factor", 4.0},
                                        {"original_max_position_embeddings", 512},
                                        {"beta_fast", 16},
                                        {"beta_slow", 2},
                                        {"attention_factor", 1.5},
                                        {"mscale", 0.7},
                                        {"mscale_all_dim", 0},
                                        {"truncate", false}}}}))
                              .rope;
  EXPECT_EQ(rope.kind, RopeKind::kYarn);
  EXPECT_EQ(rope.theta, 1e6);
  EXPECT_EQ(rope.original_max_position_embeddings, 512);
  EXPECT_EQ(rope.beta_fast, 16.0);
  EXPECT_EQ(rope.beta_slow, 2.0);
  EXPECT_EQ(rope.attention_factor, 1.5);
  EXPECT_EQ(rope.mscale, 0.7);
  EXPECT_FALSE(rope.mscale_all_dim) << "0 means not given";
  EXPECT_FALSE(rope.truncate);
}

TEST(RopeConfig, YarnDefaults) {
  const RopeConfig rope = read(llama({{"max_position_embeddings", 4096},
                                      {"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}}}))
                              .rope;
  EXPECT_EQ(rope.original_max_position_embeddings, 4096);
  EXPECT_EQ(rope.beta_fast, 32.0);
  EXPECT_EQ(rope.beta_slow, 1.0);
  EXPECT_TRUE(rope.truncate);
}

TEST(RopeConfig, OuterOriginalLengthWins) {
  const RopeConfig rope = read(llama({{"original_max_position_embeddings", 256},
                                      {"rope_scaling",
                                       {{"rope_type", "yarn"},
                                        {"factor", 4.0},
                                        {"original_max_position_embeddings", 512}}}}))
                              .rope;
  EXPECT_EQ(rope.original_max_position_embeddings, 256);
}

TEST(RopeConfig, ParametersWrappedInOneLayerType) {
  const RopeConfig rope =
      read(llama({{"rope_parameters",
                   {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 5e5}}}}}}))
          .rope;
  EXPECT_EQ(rope.theta, 5e5);
}

TEST(RopeConfigRefusals, OtherTypesAreNamed) {
  for (const char* type : {"dynamic", "longrope", "su", "mrope"}) {
    expect_refused({{"rope_scaling", {{"rope_type", type}, {"factor", 2.0}}}},
                   "'rope_type' is not supported: got \"" + std::string(type) + "\"");
  }
}

TEST(RopeConfigRefusals, PartialRotary) {
  expect_refused({{"partial_rotary_factor", 0.5}}, "'partial_rotary_factor' is not supported");
  expect_refused({{"rope_parameters", {{"partial_rotary_factor", 0.5}}}}, "partial_rotary_factor");
  EXPECT_NO_THROW(read(llama({{"partial_rotary_factor", 1.0}})));
}

TEST(RopeConfigRefusals, ParametersThatDifferByLayer) {
  expect_refused({{"rope_parameters",
                   {{"full_attention", json::object()}, {"sliding_attention", json::object()}}}},
                 "'rope_parameters' is not supported");
}

TEST(RopeConfigRefusals, MissingAndImpossibleNumbers) {
  expect_damaged({{"rope_scaling", {{"type", "linear"}}}}, "'factor' is missing");
  expect_damaged({{"rope_scaling", {{"type", "linear"}, {"factor", 0}}}}, "'factor' is missing");
  expect_damaged(
      {{"rope_scaling",
        {{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}}}},
      "'high_freq_factor'");
  expect_damaged({{"rope_theta", -1}}, "'rope_theta'");
}

TEST(ModelConfigRefusals, OtherArchitecturesAreNamed) {
  expect_refused({{"architectures", {"Gemma2ForCausalLM"}}},
                 "'architectures' is not supported: got [\"Gemma2ForCausalLM\"], expected one of "
                 "LlamaForCausalLM, MistralForCausalLM");
}

TEST(ModelConfigRefusals, ActivationAndDropout) {
  expect_refused({{"hidden_act", "gelu"}}, "'hidden_act' is not supported: got \"gelu\"");
  expect_refused({{"attention_dropout", 0.1}}, "'attention_dropout' is not supported: got 0.1");
}

TEST(ModelConfigRefusals, OtherLayerTypes) {
  expect_error(ExitCode::kConfig, "'layer_types' is not supported", [] {
    read(family("Qwen3ForCausalLM", {{"use_sliding_window", true},
                                     {"layer_types", {"full_attention", "chunked_attention"}}}));
  });
}

TEST(ModelConfigRefusals, OtherQuantisations) {
  const json nf4 = {{"quant_method", "bitsandbytes"},
                    {"load_in_4bit", true},
                    {"bnb_4bit_quant_type", "nf4"},
                    {"bnb_4bit_use_double_quant", true}};
  const auto with = [&](const json& changes) {
    json quantization = nf4;
    quantization.update(changes);
    return json{{"quantization_config", quantization}};
  };
  EXPECT_TRUE(read(llama(with(json::object()))).bnb.value().double_quant);
  expect_refused(with({{"quant_method", "gptq"}}), "'quant_method' is not supported: got \"gptq\"");
  expect_refused(with({{"load_in_4bit", false}, {"load_in_8bit", true}}), "'load_in_4bit'");
  expect_refused(with({{"bnb_4bit_quant_type", "fp4"}}), "'bnb_4bit_quant_type'");
  expect_refused(with({{"bnb_4bit_quant_storage", "bfloat16"}}), "'bnb_4bit_quant_storage'");
}

TEST(ModelConfigRefusals, StoredTypes) {
  expect_refused({{"torch_dtype", "float64"}}, "'torch_dtype' is not supported");
}

TEST(ModelConfigDamage, NumbersOutOfRange) {
  expect_damaged({{"hidden_size", 0}},
                 "'hidden_size' is missing or malformed: got 0, expected an "
                 "integer in 1..1048576");
  expect_damaged({{"hidden_size", 1 << 21}}, "'hidden_size'");
  expect_damaged({{"hidden_size", "64"}}, "'hidden_size' is missing or malformed: got \"64\"");
  expect_damaged({{"hidden_size", 64.0}}, "'hidden_size'");
  expect_damaged({{"num_hidden_layers", 1025}}, "'num_hidden_layers'");
  expect_damaged({{"vocab_size", (1 << 24) + 1}}, "'vocab_size'");
  expect_damaged({{"vocab_size", ~uint64_t{0}}}, "'vocab_size'");
  expect_damaged({{"rms_norm_eps", 0}}, "'rms_norm_eps'");
  expect_damaged({{"eos_token_id", -1}}, "'eos_token_id'");
  expect_damaged({{"eos_token_id", {1, nullptr}}}, "'eos_token_id'");
}

TEST(ModelConfigDamage, HeadsThatDoNotDivide) {
  expect_damaged({{"num_key_value_heads", 3}}, "expected a divisor of num_attention_heads (4)");
  expect_damaged({{"hidden_size", 66}}, "expected a multiple of num_attention_heads (4)");
  expect_damaged({{"head_dim", 15}}, "'head_dim'");
  EXPECT_EQ(read(llama({{"hidden_size", 66}, {"head_dim", 16}})).head_dim, 16);
}

TEST(ModelConfigDamage, NotAnObject) {
  const TempDir dir;
  const auto path = dir.write("config.json", "[1]");
  expect_error(ExitCode::kDamaged, "expected an object", [&] { read_model_config(path); });
}

TEST(ModelConfigDamage, AbsentFileIsAConfigError) {
  expect_error(ExitCode::kConfig, "config.json",
               [] { read_model_config("/nonexistent/config.json"); });
}

}  // namespace
}  // namespace rung::format
