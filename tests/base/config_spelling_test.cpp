#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/config.h"
#include "tests/support/config_text.h"
#include "tests/support/expect_error.h"

namespace rung {
namespace {

using testing::load_with;

void expect_note(const LoadedConfig& loaded, const std::string& note) {
  EXPECT_NE(std::find(loaded.notes.begin(), loaded.notes.end(), note), loaded.notes.end())
      << note << "\nis not among " << ::testing::PrintToString(loaded.notes);
}

void expect_refused(const std::string& more, const std::string& words) {
  testing::expect_error(ExitCode::kConfig, words, [&] { load_with(more); });
}

TEST(Spelling, HuggingFaceTrainerKeysAreRead) {
  const LoadedConfig loaded = load_with(
      "per_device_train_batch_size: 2\n"
      "per_device_eval_batch_size: 3\n"
      "num_train_epochs: 3\n"
      "lr_scheduler_type: linear\n"
      "optim: adamw_torch_fused\n"
      "max_steps: -1\n"
      "save_strategy: steps\n"
      "report_to: none\n"
      "bf16: true\n"
      "fp16: false\n");
  EXPECT_EQ(loaded.config.micro_batch_size, 2);
  EXPECT_EQ(loaded.config.eval_batch_size, 3);
  EXPECT_EQ(loaded.config.num_epochs, 3.0);
  EXPECT_EQ(loaded.config.lr_scheduler, LrScheduler::kLinear);
  EXPECT_EQ(loaded.config.optimizer, "adamw_torch");
  EXPECT_EQ(loaded.config.max_steps, 0);
  EXPECT_EQ(loaded.config.compute_dtype, ComputeDtype::kBf16);
  expect_note(loaded, "per_device_train_batch_size read as micro_batch_size");
  expect_note(loaded, "optimizer: adamw_torch_fused read as adamw_torch");
  expect_note(loaded, "bf16: true read as compute_dtype: bf16");
  EXPECT_TRUE(loaded.explicit_keys.contains("micro_batch_size"));
  EXPECT_FALSE(loaded.explicit_keys.contains("per_device_train_batch_size"));
}

TEST(Spelling, LlamaFactoryFileIsRead) {
  const LoadedConfig loaded = testing::load_text(
      "model_name_or_path: m\n"
      "datasets: [{path: a.jsonl}]\n"
      "stage: sft\n"
      "do_train: true\n"
      "finetuning_type: lora\n"
      "quantization_bit: 4\n"
      "double_quantization: true\n"
      "lora_rank: 16\n"
      "lora_target: all\n"
      "cutoff_len: 1024\n"
      "packing: true\n"
      "flash_attn: fa2\n"
      "output_dir: o\n");
  EXPECT_EQ(loaded.config.base_model, "m");
  EXPECT_EQ(loaded.config.adapter, AdapterKind::kQlora);
  EXPECT_TRUE(loaded.config.bnb_4bit_use_double_quant);
  EXPECT_EQ(loaded.config.lora_r, 16);
  EXPECT_EQ(loaded.config.lora_target_modules.mode, TargetModules::Mode::kAllLinear);
  EXPECT_EQ(loaded.config.sequence_len, 1024);
  EXPECT_TRUE(loaded.config.sample_packing);
  expect_note(loaded, "flash_attn has no effect: attention never builds the score matrix");
}

TEST(Spelling, AxolotlFileIsRead) {
  const LoadedConfig loaded = testing::load_text(
      "base_model: m\n"
      "load_in_8bit: false\n"
      "load_in_4bit: true\n"
      "strict: false\n"
      "datasets:\n"
      "  - path: a.jsonl\n"
      "    ds_type: json\n"
      "    type: sharegpt\n"
      "    message_property_mappings: {role: from, content: value}\n"
      "adapter: qlora\n"
      "lora_target_linear: true\n"
      "pad_to_sequence_len: true\n"
      "wandb_project:\n"
      "optimizer: paged_adamw_32bit\n"
      "bf16: auto\n"
      "tf32: false\n"
      "deepspeed:\n"
      "fsdp_config:\n"
      "special_tokens:\n"
      "output_dir: o\n");
  EXPECT_EQ(loaded.config.datasets[0].type, DatasetType::kChatTemplate);
  EXPECT_EQ(loaded.config.datasets[0].message_property_role, "from");
  EXPECT_EQ(loaded.config.datasets[0].message_property_content, "value");
  EXPECT_EQ(loaded.config.optimizer, "adamw_torch");
  EXPECT_EQ(loaded.config.compute_dtype, ComputeDtype::kAuto);
}

TEST(Spelling, TorchtuneAndPeftKeysAreRead) {
  const RunConfig config =
      load_with("batch_size: 4\nepochs: 2\nclip_grad_norm: 0.5\nr: 4\ntarget_modules: [q_proj]\n")
          .config;
  EXPECT_EQ(config.micro_batch_size, 4);
  EXPECT_EQ(config.num_epochs, 2.0);
  EXPECT_EQ(config.max_grad_norm, 0.5);
  EXPECT_EQ(config.lora_r, 4);
  EXPECT_EQ(config.lora_target_modules.names.at(0), "q_proj");
}

TEST(Spelling, TwoNamesOfOneKeyMustAgree) {
  EXPECT_EQ(load_with("lora_r: 4\nlora_rank: 4\n").config.lora_r, 4);
  expect_refused("lora_r: 4\nlora_rank: 8\n",
                 "lora_r and lora_rank set the same thing, lora_r, to two values");
}

TEST(Spelling, ErrorsUseTheSpellingOfTheFile) {
  expect_refused("lora_rank: 0\n", "lora_rank: got 0, expected integer");
}

TEST(Spelling, KeysNotBuiltYetAreRefusedByName) {
  for (const char* line :
       {"use_dora: true", "loraplus_lr_ratio: 16", "lora_modules_to_save: [lm_head]",
        "rank_pattern: {q_proj: 4}", "alpha_pattern: {q_proj: 4}", "early_stopping_patience: 3",
        "load_best_model_at_end: true", "report_to: wandb", "resume_from_checkpoint: true",
        "max_time: 3600"}) {
    const std::string text = line;
    expect_refused(text + "\n", text.substr(0, text.find(':')) + " is not supported yet: got ");
  }
}

TEST(Spelling, ValuesNotBuiltYetAreRefusedByName) {
  expect_refused("load_in_8bit: true\n", "load_in_8bit is not supported yet");
  expect_refused("lr_scheduler: warmup_stable_decay\n", "is not supported yet");
  expect_refused("lr_scheduler: cosine_with_min_lr\n", "is not supported yet");
  expect_refused("optimizer: adafactor\n", "optimizer: adafactor is not supported yet");
  expect_refused("bnb_4bit_quant_type: fp4\n", "is not supported yet");
  expect_refused("init_lora_weights: pissa\n", "is not supported yet");
  expect_refused("finetuning_type: full\n", "finetuning_type is not supported yet");
}

TEST(Spelling, KeysNotBuiltYetMayBeOff) {
  EXPECT_NO_THROW(
      load_with("use_dora: false\nlora_modules_to_save:\nactivation_offloading: false\nfit: off\n"
                "report_to: [none]\nresume_from_checkpoint: false\nrank_pattern: {}\n"
                "max_oom_recoveries: 0\n"));
}

TEST(Spelling, HintsSayWhatToUseInstead) {
  expect_refused("resume_from_checkpoint: x\n", "use --resume DIR");
  expect_refused("evals_per_epoch: 4\n", "set eval_steps");
  expect_refused("dataset: alpaca_en\n", "list the files under datasets");
}

}  // namespace
}  // namespace rung
