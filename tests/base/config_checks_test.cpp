#include <gtest/gtest.h>

#include <string>

#include "base/config.h"
#include "tests/support/config_text.h"
#include "tests/support/expect_error.h"

namespace rung {
namespace {

using testing::load_with;

void expect_refused(const std::string& more, const std::string& words) {
  testing::expect_error(ExitCode::kConfig, words, [&] { load_with(more); });
}

TEST(ConfigChecks, QloraHoldsTheModelInFourBits) {
  EXPECT_TRUE(load_with("adapter: qlora\n").config.load_in_4bit);
  EXPECT_FALSE(load_with("adapter: lora\n").config.load_in_4bit);
}

TEST(ConfigChecks, LoadIn4bitDecidesBetweenTheAdapters) {
  EXPECT_EQ(load_with("load_in_4bit: false\n").config.adapter, AdapterKind::kLora);
  EXPECT_EQ(load_with("load_in_4bit: true\nadapter: lora\n").config.adapter, AdapterKind::kQlora);
  expect_refused("load_in_4bit: false\nadapter: qlora\n", "contradicts load_in_4bit: false");
}

TEST(ConfigChecks, OnlyOneWarmupMayBeSet) {
  expect_refused("warmup_steps: 10\nwarmup_ratio: 0.1\n", "warmup_steps and warmup_ratio");
  EXPECT_NO_THROW(load_with("warmup_steps: 0\nwarmup_ratio: 0.1\n"));
}

TEST(ConfigChecks, WarmupMustEndBeforeTheRun) {
  expect_refused("warmup_steps: 10\nmax_steps: 5\n", "warmup_steps is larger than max_steps");
}

TEST(ConfigChecks, ValidationSizeIsAShareOrACount) {
  expect_refused("val_set_size: 1.5\n", "neither a share below 1 nor a whole count");
  EXPECT_EQ(load_with("val_set_size: 500\n").config.val_set_size, 500.0);
}

TEST(ConfigChecks, EvaluationNeedsDataOfOneKind) {
  expect_refused("eval_steps: 10\n", "nothing to evaluate on");
  expect_refused("val_set_size: 0.1\ntest_datasets: [{path: t.jsonl}]\n", "are both set");
  EXPECT_NO_THROW(load_with("eval_steps: 10\ntest_datasets: [{path: t.jsonl}]\n"));
}

TEST(ConfigChecks, ChatTemplateKeysMustAgree) {
  expect_refused("chat_template: jinja\n", "needs chat_template_jinja");
  expect_refused("chat_template: tokenizer_default\nchat_template_jinja: x\n", "contradicts");
  expect_refused("chat_template: chatml\n", "is not supported yet");
  EXPECT_NO_THROW(load_with("chat_template: jinja\nchat_template_jinja: '{{ messages }}'\n"));
}

TEST(ConfigChecks, ALoadedAdapterIsNotInitialized) {
  expect_refused("lora_model_dir: a\ninit_lora_weights: gaussian\n", "contradicts lora_model_dir");
}

TEST(ConfigChecks, TwoCheckpointsAreKept) {
  const LoadedConfig loaded = load_with("save_total_limit: 1\n");
  EXPECT_EQ(loaded.config.save_total_limit, 2);
  EXPECT_EQ(loaded.notes.size(), 1u);
}

TEST(ConfigChecks, MessagesNameTheLine) {
  expect_refused("warmup_steps: 10\nwarmup_ratio: 0.1\n", "c.yaml:6)");
}

}  // namespace
}  // namespace rung
