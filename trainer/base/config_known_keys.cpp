#include "base/config_known_keys.h"

namespace rung {
namespace {

constexpr PairAlias kRunPairs[] = {
    {"bf16", "true", "compute_dtype", "bf16"},  // HF, axolotl
    {"bf16", "full", "compute_dtype", "bf16"},
    {"bf16", "auto", "compute_dtype", "auto"},
    {"bf16", "false", "compute_dtype", "fp32"},
    {"fp16", "true", "compute_dtype", "fp16"},
    {"fp16", "false", "", ""},
    {"load_in_8bit", "false", "", ""},
    {"quantization_bit", "4", "load_in_4bit", "true"},  // LLaMA-Factory
    {"quantization_method", "bnb", "", ""},
    {"quantization_method", "bitsandbytes", "", ""},
    {"finetuning_type", "lora", "adapter", "lora"},
    {"stage", "sft", "", ""},
    {"do_train", "true", "", ""},
    {"lora_target_linear", "true", "lora_target_modules", "all-linear"},  // axolotl
    {"lora_target_linear", "false", "", ""},
    {"use_peft", "true", "", ""},        // TRL
    {"task_type", "causal_lm", "", ""},  // PEFT
    {"peft_type", "lora", "", ""},
    {"bias", "none", "", ""},
    {"fan_in_fan_out", "false", "", ""},
    {"lora_fan_in_fan_out", "false", "", ""},
    {"inference_mode", "false", "", ""},
    {"trust_remote_code", "false", "", ""},
    {"push_to_hub", "false", "", ""},
    {"eval_strategy", "steps", "", ""},  // HF: eval_steps and save_steps say it
    {"eval_strategy", "no", "", ""},
    {"evaluation_strategy", "steps", "", ""},
    {"evaluation_strategy", "no", "", ""},
    {"save_strategy", "steps", "", ""},
    {"save_strategy", "no", "", ""},
    {"logging_strategy", "steps", "", ""},
    {"split_batches", "false", "", ""},
};

constexpr UnbuiltKey kRunUnbuilt[] = {
    // rung's own, in the order of its reference
    {"lora_modules_to_save"},
    {"use_dora"},
    {"loraplus_lr_ratio"},
    {"rank_pattern"},
    {"alpha_pattern"},
    {"early_stopping_patience"},
    {"load_best_model_at_end"},
    {"report_to", "none", "metrics.jsonl in output_dir has every step"},
    {"resume_from_checkpoint", "", "use --resume DIR"},
    {"max_time"},
    // other tools'
    {"peft_use_dora"},
    {"lora_dora"},
    {"modules_to_save"},
    {"additional_target"},
    {"neftune_noise_alpha"},
    {"group_by_length"},
    {"label_smoothing_factor"},
    {"lr_scheduler_kwargs"},
    {"cosine_min_lr_ratio"},
    {"evals_per_epoch", "", "set eval_steps"},
    {"saves_per_epoch", "", "set save_steps"},
    {"max_steps_per_epoch", "", "set max_steps"},
    {"dataset", "", "list the files under datasets: - path: ..."},
    {"eval_dataset", "", "list the files under test_datasets: - path: ..."},
    {"template", "", "put a template into chat_template_jinja"},
    {"unfrozen_parameters"},
    {"peft_layers_to_transform"},
    {"layers_to_transform"},
    {"loftq_config"},
    {"relora"},
    {"deepspeed"},
    {"fsdp"},
    {"fsdp_config"},
    {"hub_model_id"},
    {"wandb_project", "", "metrics.jsonl in output_dir has every step"},
    {"mlflow_experiment_name", "", "metrics.jsonl in output_dir has every step"},
    {"use_tensorboard", "", "metrics.jsonl in output_dir has every step"},
    {"rl"},
    {"special_tokens"},
    {"tokens"},
    {"rope_scaling"},
    {"plugins"},
    {"adapters"},
    {"use_cpu", "", "set device: cpu"},
};
constexpr size_t kNumOwnUnbuilt = 10;
static_assert(kRunUnbuilt[kNumOwnUnbuilt - 1].key == "max_time");

constexpr IdleKey kRunIdle[] = {
    {"flash_attention", "attention never builds the score matrix"},
    {"flash_attn", "attention never builds the score matrix"},
    {"sdp_attention", "attention never builds the score matrix"},
    {"xformers_attention", "attention never builds the score matrix"},
    {"attn_implementation", "attention never builds the score matrix"},
    {"tf32", "compute_dtype alone sets the precision"},
    {"pad_to_sequence_len", "rung never pads"},
    {"gradient_checkpointing_kwargs", "there is one kind of checkpointing"},
    {"use_reentrant_gc", "there is one kind of checkpointing"},
    {"ddp_timeout", "there is one process"},
    {"ddp_find_unused_parameters", "there is one process"},
    {"local_rank", "there is one process"},
    {"dataset_prepared_path", "data are read anew each time"},
    {"overwrite_cache", "data are read anew each time"},
    {"shuffle_merged_datasets", "shuffle alone sets the order"},
    {"dataset_processes", "data are read by one thread"},
    {"preprocessing_num_workers", "data are read by one thread"},
    {"dataloader_num_workers", "data are read by one thread"},
    {"dataloader_pin_memory", "data are read by one thread"},
    {"remove_unused_columns", "only the columns of the type are read"},
    {"save_safetensors", "files are always safetensors"},
    {"save_only_model", "checkpoints always hold all that a resume needs"},
    {"model_type", "config.json of the model says it"},
    {"tokenizer_type", "the model's tokenizer.json says it"},
    {"auto_resume_from_checkpoints", "--resume auto is the default"},
    {"overwrite_output_dir", "--resume never starts afresh"},
    {"plot_loss", "metrics.jsonl has every step"},
    {"include_tokens_per_second", "metrics.jsonl has every step"},
    {"include_num_input_tokens_seen", "metrics.jsonl has every step"},
    {"logging_dir", "metrics.jsonl is in output_dir"},
    {"logging_first_step", "every step is recorded"},
    {"run_name", "a run is named by its output_dir"},
    {"strict", "every unknown key is an error"},
    {"low_cpu_mem_usage", "weights are read piece by piece"},
    {"torch_compile", "there is nothing to compile"},
};

constexpr PairAlias kDatasetPairs[] = {
    {"ds_type", "json", "", ""},
    {"split", "train", "", ""},
};

constexpr UnbuiltKey kDatasetUnbuilt[] = {
    {"name"},
    {"data_files", "", "name the file in path"},
    {"chat_template", "", "set chat_template for the whole run"},
    {"roles"},
    {"roles_to_train", "", "set roles_to_train for the whole run"},
    {"train_on_eos", "", "set train_on_eos for the whole run"},
    {"shards"},
    {"message_field_training"},
    {"message_field_training_detail"},
    {"field_instruction"},
    {"field_input"},
    {"field_output"},
    {"field_system"},
    {"format"},
};

constexpr IdleKey kDatasetIdle[] = {
    {"conversation", "the model's chat template is used"},
};

}  // namespace

KnownKeys known_run_keys() { return {kRunPairs, kRunUnbuilt, kRunIdle}; }

KnownKeys known_dataset_keys() { return {kDatasetPairs, kDatasetUnbuilt, kDatasetIdle}; }

size_t num_own_unbuilt_keys() { return kNumOwnUnbuilt; }

}  // namespace rung
