#include "base/config.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/config_text.h"
#include "tests/support/expect_error.h"

namespace rung {
namespace {

using testing::error_of;
using testing::load_text;
using testing::load_with;

void expect_refused(const std::string& more, const std::string& words) {
  testing::expect_error(ExitCode::kConfig, words, [&] { load_with(more); });
}

void expect_override_refused(const std::string& override, const std::string& words) {
  testing::expect_error(ExitCode::kConfig, words, [&] { load_with("", {override}); });
}

TEST(Config, MinimalHasTheDefaults) {
  const LoadedConfig loaded = load_with("");
  EXPECT_EQ(loaded.config.base_model, "models/tiny");
  EXPECT_EQ(loaded.config.datasets.at(0).path, "train.jsonl");
  EXPECT_EQ(loaded.config.lora_r, 8);
  EXPECT_EQ(loaded.config.adapter, AdapterKind::kQlora);
  EXPECT_TRUE(loaded.notes.empty());
  EXPECT_EQ(loaded.explicit_keys, (std::set<std::string>{"base_model", "datasets", "output_dir"}));
}

TEST(Config, WithoutAFileRequiresNoKey) {
  const LoadedConfig loaded = default_run_config({"lora_r=16", "lora_r=32", "bf16=true"});
  EXPECT_EQ(loaded.config.lora_r, 32);
  EXPECT_EQ(loaded.config.compute_dtype, ComputeDtype::kBf16);
  EXPECT_TRUE(loaded.config.load_in_4bit);
  EXPECT_EQ(loaded.explicit_keys, (std::set<std::string>{"lora_r", "compute_dtype"}));
}

TEST(Config, WithoutAFileIsCheckedAllTheSame) {
  testing::expect_error(ExitCode::kConfig, "lora_r: got 0",
                        [] { default_run_config({"lora_r=0"}); });
  testing::expect_error(ExitCode::kConfig, "did you mean lora_r",
                        [] { default_run_config({"lora_q=1"}); });
}

TEST(Config, ReadsEveryKindOfValue) {
  const RunConfig config = load_with(
                               "adapter: lora\n"
                               "lora_r: 16\n"
                               "lora_dropout: .05\n"
                               "lora_target_modules: [q_proj, v_proj]\n"
                               "use_rslora: yes\n"
                               "init_lora_weights: gaussian\n"
                               "roles_to_train:\n  - assistant\n  - tool\n"
                               "learning_rate: 2e-4\n"
                               "gradient_checkpointing: 12\n"
                               "memory_limit: 24GiB\n"
                               "seed: 18446744073709551615\n")
                               .config;
  EXPECT_EQ(config.adapter, AdapterKind::kLora);
  EXPECT_EQ(config.lora_r, 16);
  EXPECT_EQ(config.lora_dropout, 0.05);
  EXPECT_EQ(config.lora_target_modules.mode, TargetModules::Mode::kList);
  EXPECT_EQ(config.lora_target_modules.names, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_TRUE(config.use_rslora);
  EXPECT_EQ(config.init_lora_weights, InitLora::kGaussian);
  EXPECT_EQ(config.roles_to_train, (std::vector<std::string>{"assistant", "tool"}));
  EXPECT_EQ(config.learning_rate, 2e-4);
  EXPECT_EQ(config.gradient_checkpointing.mode, Recompute::Mode::kBlocks);
  EXPECT_EQ(config.gradient_checkpointing.num_blocks, 12);
  EXPECT_EQ(config.memory_limit, int64_t{24} << 30);
  EXPECT_TRUE(config.memory_limit_place.find("c.yaml:") != std::string::npos)
      << config.memory_limit_place;
  EXPECT_EQ(config.seed, UINT64_MAX);
}

TEST(Config, ReadsTargetModules) {
  const auto read = [](const std::string& value) {
    return load_with("lora_target_modules: " + value + "\n").config.lora_target_modules;
  };
  EXPECT_EQ(read("all-linear").mode, TargetModules::Mode::kAllLinear);
  EXPECT_EQ(read("[all-linear]").mode, TargetModules::Mode::kAllLinear);
  EXPECT_EQ(read("q_proj, v_proj").names, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(read("q_proj").names, (std::vector<std::string>{"q_proj"}));
  EXPECT_EQ(read("'.*\\.(q|v)_proj'").regex, ".*\\.(q|v)_proj");
}

TEST(Config, ReadsGradientCheckpointing) {
  const auto read = [](const std::string& value) {
    return load_with("gradient_checkpointing: " + value + "\n").config.gradient_checkpointing.mode;
  };
  EXPECT_EQ(read("auto"), Recompute::Mode::kAuto);
  EXPECT_EQ(read("true"), Recompute::Mode::kAll);
  EXPECT_EQ(read("false"), Recompute::Mode::kNone);
  EXPECT_EQ(read("0"), Recompute::Mode::kNone);
}

TEST(Config, EmptyValuesKeepTheDefault) {
  const LoadedConfig loaded = load_with("lora_r:\nlora_alpha: ~\n");
  EXPECT_EQ(loaded.config.lora_r, 8);
  EXPECT_FALSE(loaded.explicit_keys.contains("lora_r"));
}

TEST(Config, UnknownKeysNameLineAndNearestKey) {
  expect_refused("lora_rr: 3\n", "unknown key lora_rr; did you mean lora_r? (");
  expect_refused("\nmicro_bach_size: 3\n", "c.yaml:6)");
  expect_refused("gradient_acumulation_step: 3\n", "did you mean gradient_accumulation_steps?");
}

TEST(Config, UnknownKeysFarFromAllGetNoSuggestion) {
  const std::string message = error_of(ExitCode::kConfig, [] { load_with("zzzzzzzz: 1\n"); });
  EXPECT_EQ(message.find("did you mean"), std::string::npos);
}

TEST(Config, UnknownKeysOfADatasetAreErrors) {
  testing::expect_error(ExitCode::kConfig, "unknown key typ; did you mean type?", [] {
    load_text("base_model: m\noutput_dir: o\ndatasets:\n  - path: a\n    typ: alpaca\n");
  });
}

TEST(Config, DuplicateKeysAreErrorsWithBothLines) {
  expect_refused("lora_r: 3\nlora_r: 4\n", "lora_r is set twice; first at ");
  expect_refused("lora_r: 3\nlora_r: 4\n", "c.yaml:6)");
}

TEST(Config, DuplicateKeysOfADatasetAreErrors) {
  testing::expect_error(ExitCode::kConfig, "path is set twice", [] {
    load_text("base_model: m\noutput_dir: o\ndatasets: [{path: a, path: b}]\n");
  });
}

TEST(Config, ValuesOutOfRangeNameTheRange) {
  expect_refused("lora_r: 0\n", "lora_r: got 0, expected integer, 1..1024 (");
  expect_refused("lora_dropout: 1\n", "expected number, >= 0 and < 1");
  expect_refused("adam_beta2: 1.0\n", "adam_beta2: got 1.0");
  expect_refused("learning_rate: 0\n", "expected number, > 0 and <= 10");
  expect_refused("seed: -1\n", "expected integer, >= 0");
}

TEST(Config, ValuesOfTheWrongTypeAreErrors) {
  expect_refused("lora_r: eight\n", "lora_r: got eight, expected integer");
  expect_refused("lora_r: 1.5\n", "got 1.5");
  expect_refused("lora_r: 8x\n", "got 8x");
  expect_refused("lora_r: '8'\n", "got \"8\"");
  expect_refused("lora_r: [8]\n", "got a list");
  expect_refused("lora_alpha: .nan\n", "got .nan");
  expect_refused("lora_alpha: inf\n", "got inf");
  expect_refused("shuffle: maybe\n", "expected true | false");
  expect_refused("lr_scheduler: cosin\n", "expected cosine | linear | constant");
  expect_refused("memory_limit: 24G\n", "expected bytes, or a number with");
  expect_refused("device: gpu\n", "expected auto | cpu | cuda | cuda:N");
  expect_refused("lora_target_modules: []\n", "got a list, expected list of names");
  expect_refused("roles_to_train: assistant\n", "expected list of words");
}

TEST(Config, RequiredKeysAreNamed) {
  const std::string message = error_of(ExitCode::kConfig, [] { load_text(""); });
  EXPECT_NE(message.find("base_model is missing"), std::string::npos) << message;
  EXPECT_NE(message.find("datasets is missing"), std::string::npos) << message;
  EXPECT_NE(message.find("output_dir is missing"), std::string::npos) << message;
}

TEST(Config, ADatasetNeedsAPath) {
  testing::expect_error(ExitCode::kConfig, "path is missing", [] {
    load_text("base_model: m\noutput_dir: o\ndatasets:\n  - type: alpaca\n");
  });
}

TEST(Config, EmptyDatasetsAreRefused) {
  testing::expect_error(ExitCode::kConfig, "datasets is empty",
                        [] { load_text("base_model: m\noutput_dir: o\ndatasets: []\n"); });
}

TEST(Config, AllErrorsAreShownAtOnce) {
  const std::string message = error_of(ExitCode::kConfig, [] {
    load_with("lora_r: 0\nlora_rr: 1\nuse_dora: true\nwarmup_steps: 1\nwarmup_ratio: 0.1\n",
              {"adam_beta1=2"});
  });
  EXPECT_NE(message.find("5 errors in the configuration\n"), std::string::npos) << message;
  for (const char* words : {"lora_r: got 0", "unknown key lora_rr", "use_dora is not supported yet",
                            "warmup_steps and warmup_ratio", "--set adam_beta1=2"}) {
    EXPECT_NE(message.find(words), std::string::npos) << words << "\n" << message;
  }
}

TEST(Config, MalformedYamlNamesTheLine) {
  expect_refused("lora_r: [1\n", "malformed YAML");
  expect_refused("\tlora_r: 1\n", "c.yaml:5)");
}

TEST(Config, WhatIsNoMappingIsRefused) {
  testing::expect_error(ExitCode::kConfig, "no mapping", [] { load_text("- a\n- b\n"); });
  testing::expect_error(ExitCode::kConfig, "one YAML document",
                        [] { load_text("a: 1\n---\nb: 1\n"); });
  expect_refused("[a, b]: 1\n", "a key must be a word");
  expect_refused("lora_r: &x 4\nlora_alpha: *x\n", "aliases");
}

TEST(Config, DeepYamlDoesNotOverflowTheStack) {
  testing::expect_error(ExitCode::kConfig, "",
                        [] { load_text("a: " + std::string(500'000, '[')); });
}

TEST(Config, AbsentFileIsAConfigError) {
  const testing::TempDir dir;
  testing::expect_error(ExitCode::kConfig, "none.yaml",
                        [&] { load_run_config(dir / "none.yaml", {}); });
}

TEST(Override, ReplacesAValueOfTheFile) {
  const LoadedConfig loaded = load_with("lora_r: 16\n", {"lora_r=4", "lora_alpha=32"});
  EXPECT_EQ(loaded.config.lora_r, 4);
  EXPECT_EQ(loaded.config.lora_alpha, 32.0);
  EXPECT_TRUE(loaded.explicit_keys.contains("lora_alpha"));
}

TEST(Override, TakesYamlValues) {
  const RunConfig config = load_with("", {"lora_target_modules=[q_proj, k_proj]",
                                          "datasets=[{path: b.jsonl, type: alpaca}]"})
                               .config;
  EXPECT_EQ(config.lora_target_modules.names.size(), 2u);
  EXPECT_EQ(config.datasets.at(0).type, DatasetType::kAlpaca);
}

TEST(Override, AnAliasReplacesTheCanonicalKey) {
  const LoadedConfig loaded = load_with("micro_batch_size: 8\ncompute_dtype: fp32\n",
                                        {"per_device_train_batch_size=2", "bf16=true"});
  EXPECT_EQ(loaded.config.micro_batch_size, 2);
  EXPECT_EQ(loaded.config.compute_dtype, ComputeDtype::kBf16);
}

TEST(Override, ReachesIntoLists) {
  const RunConfig config = load_with("roles_to_train: [assistant]\n",
                                     {"datasets.0.path=b.jsonl", "datasets.0.type=completion",
                                      "datasets.1.path=c.jsonl", "roles_to_train.1=tool"})
                               .config;
  EXPECT_EQ(config.datasets.at(0).path, "b.jsonl");
  EXPECT_EQ(config.datasets.at(0).type, DatasetType::kCompletion);
  EXPECT_EQ(config.datasets.at(1).path, "c.jsonl");
  EXPECT_EQ(config.roles_to_train, (std::vector<std::string>{"assistant", "tool"}));
}

TEST(Override, NullRestoresTheDefault) {
  for (const char* null : {"lora_r=null", "lora_r=~"}) {
    const LoadedConfig loaded = load_with("lora_r: 16\n", {null});
    EXPECT_EQ(loaded.config.lora_r, 8) << null;
    EXPECT_FALSE(loaded.explicit_keys.contains("lora_r")) << null;
  }
}

TEST(Override, AnEmptyValueIsRefused) {
  for (const std::string key : {"lora_r", "chat_template", "datasets.0.path", "bf16"}) {
    for (const std::string value : {"", " ", "\t\n", " # x"}) {
      expect_override_refused(
          key + "=" + value,
          key + " is set to nothing: expected key=value; for the default write " + key + "=null");
    }
  }
}

TEST(Override, TheEmptyTextCanBeSaid) {
  EXPECT_EQ(
      load_with("chat_template: tokenizer_default\n", {"chat_template=\"\""}).config.chat_template,
      "");
}

// Nothing of the configuration is wrong then.
TEST(Override, WithoutAKeyOrAValueIsBadUsage) {
  testing::expect_error(ExitCode::kUsage, "expected key=value (--set lora_r)",
                        [] { load_with("", {"lora_r"}); });
  testing::expect_error(ExitCode::kUsage, "expected key=value (--set =1)",
                        [] { load_with("", {"=1"}); });
}

TEST(Override, ErrorsQuoteIt) {
  expect_override_refused("lora_r=0", "lora_r: got 0, expected integer, 1..1024 (--set lora_r=0)");
  expect_override_refused("lora_rr=1", "unknown key lora_rr; did you mean lora_r? (--set");
  expect_override_refused("datasets.7.path=x", "there is no place datasets.7.path");
  expect_override_refused("lora_r.x=1", "lora_r: got a mapping");
  expect_override_refused("datasets.0.typ=alpaca", "unknown key typ; did you mean type?");
  expect_override_refused("lora_r=[1", "malformed YAML");
}

}  // namespace
}  // namespace rung
