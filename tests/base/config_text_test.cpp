#include "tests/support/config_text.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/config_spellings.h"
#include "base/config_visitor.h"

namespace rung {
namespace {

using testing::load_text;
using testing::load_with;
using Keys = std::vector<std::string>;

TEST(ResolvedYaml, LoadsBackTheSame) {
  RunConfig config = load_with("").config;
  config.learning_rate = 1.0 / 3;
  config.adam_epsilon = 1e-8;
  config.lora_target_modules = {.mode = TargetModules::Mode::kRegex, .regex = ".*\\.(q|v)_proj$"};
  config.gradient_checkpointing = {.mode = Recompute::Mode::kBlocks, .num_blocks = 3};
  config.memory_limit = 123456789;
  config.seed = UINT64_MAX;
  config.roles_to_train = {"a b", "true", "12", "", "x: y", "- z"};
  config.chat_template_jinja = "{% for m in messages %}\n\t\"é\" \\ {{ m }}\x01\x7f # \U0001f600\n";
  config.datasets.push_back({.path = "dir with space/b.jsonl", .type = DatasetType::kTokenized});
  const std::string text = dump_resolved_yaml(config);
  const LoadedConfig loaded = load_text(text);
  EXPECT_EQ(changed_keys(loaded.config, config), Keys{}) << text;
  EXPECT_EQ(loaded.config.learning_rate, config.learning_rate);
  EXPECT_EQ(loaded.config.chat_template_jinja, config.chat_template_jinja);
  EXPECT_EQ(loaded.config.roles_to_train, config.roles_to_train);
  EXPECT_TRUE(loaded.notes.empty());
}

TEST(ResolvedYaml, HasEveryKey) {
  const std::string text = "\n" + dump_resolved_yaml(load_with("").config);
  for (const Field<RunConfig>& field : run_config_fields()) {
    EXPECT_NE(text.find("\n" + std::string(field.info.name) + ":"), std::string::npos)
        << field.info.name;
  }
}

TEST(ResolvedYaml, SmallNumbersAreNumbersInYaml11) {
  EXPECT_NE(dump_resolved_yaml(load_with("").config).find("adam_epsilon: 1.0e-08\n"),
            std::string::npos);
}

TEST(ChangedKeys, NamesWhatDiffers) {
  const RunConfig a = load_with("").config;
  RunConfig b = a;
  EXPECT_EQ(changed_keys(a, b), Keys{});
  b.seed = 7;
  b.lora_r = 4;
  b.datasets[0].type = DatasetType::kAlpaca;
  EXPECT_EQ(changed_keys(a, b), (Keys{"lora_r", "datasets", "seed"}));
}

TEST(ConfigReference, HasTypeRangeDefaultAndMeaning) {
  const std::string text = config_reference();
  EXPECT_NE(text.find("  lora_r: integer, 1..1024; default 8\n      rank of"), std::string::npos)
      << text;
  EXPECT_NE(text.find("also read: lora_rank, r\n"), std::string::npos);
  EXPECT_NE(text.find("  base_model: text; required\n"), std::string::npos);
  EXPECT_NE(text.find("  lr_scheduler: cosine | linear | constant; default cosine"),
            std::string::npos);
  EXPECT_NE(text.find("Not supported yet\n"), std::string::npos);
}

TEST(ConfigReference, SaysHowAdapterAndFourBitsDependOnEachOther) {
  const std::string text = config_reference();
  EXPECT_NE(text.find("  adapter: lora | qlora; default qlora\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  load_in_4bit: true | false; default true with adapter: qlora, false with "
                      "adapter: lora\n"),
            std::string::npos)
      << text;
}

TEST(FieldList, NamesAndAliasesAreUnique) {
  std::set<std::string_view> names;
  for (const Field<RunConfig>& field : run_config_fields()) {
    EXPECT_TRUE(names.insert(field.info.name).second) << field.info.name;
    for (const std::string_view alias : field.info.aliases) {
      EXPECT_TRUE(names.insert(alias).second) << alias;
    }
  }
  for (const std::string& key : unbuilt_run_keys()) EXPECT_TRUE(names.insert(key).second) << key;
}

TEST(FieldList, EveryFieldHasHelp) {
  for (const Field<RunConfig>& field : run_config_fields()) {
    EXPECT_FALSE(field.info.help.empty()) << field.info.name;
  }
}

}  // namespace
}  // namespace rung
