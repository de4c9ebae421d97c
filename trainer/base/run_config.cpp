// The list of all configuration keys, in the order of RunConfig.
#include "base/run_config.h"

#include "base/config_visitor.h"

namespace rung {
namespace {

constexpr double kMaxCount = 9e15;  // integers up to here are exact in double

using RunFields = std::vector<Field<RunConfig>>;

RunFields model_fields() {
  return {
      {{.name = "base_model",
        .help = "folder of the model, or org/name in the local Hugging Face cache",
        .aliases = {"model_name_or_path"},
        .need = Need::kRequired,
        .section = "Model and adapter"},
       &RunConfig::base_model},
      {{.name = "adapter",
        .help = "lora: the model's weights stay as they are; qlora: they are held in 4 bits. This "
                "key alone is enough, load_in_4bit follows it"},
       &RunConfig::adapter},
      {{.name = "load_in_4bit",
        .help = "hold the frozen weights in 4 bits. true with adapter: lora is read as adapter: "
                "qlora, false without adapter as adapter: lora, false with adapter: qlora is an "
                "error",
        .default_text = "true with adapter: qlora, false with adapter: lora"},
       &RunConfig::load_in_4bit},
      {{.name = "bnb_4bit_quant_type",
        .help = "the 4-bit code",
        .choices = {"nf4"},
        .unbuilt_values = {"fp4"}},
       &RunConfig::bnb_4bit_quant_type},
      {{.name = "bnb_4bit_use_double_quant",
        .help = "quantize the scales of the 4-bit blocks too (0.4 bits less a weight)",
        .aliases = {"double_quantization", "use_bnb_nested_quant", "use_nested_quant"}},
       &RunConfig::bnb_4bit_use_double_quant},
      {{.name = "lora_r",
        .help = "rank of the adapter's matrices",
        .range = {1, 1024},
        .aliases = {"lora_rank", "r"}},
       &RunConfig::lora_r},
      {{.name = "lora_alpha",
        .help = "scale of the adapter: its product is multiplied by lora_alpha / lora_r",
        .range = {.min = 0, .max = 1e6, .min_is_open = true}},
       &RunConfig::lora_alpha},
      {{.name = "lora_dropout",
        .help = "share of the adapter's inputs that is dropped in training",
        .range = {.min = 0, .max = 1, .max_is_open = true}},
       &RunConfig::lora_dropout},
      {{.name = "lora_target_modules",
        .help = "modules that get an adapter: names, a regular expression for the full name, or "
                "all-linear (all but the output head)",
        .aliases = {"lora_target", "target_modules"},
        .value_aliases = {{"all", "all-linear"}}},
       &RunConfig::lora_target_modules},
      {{.name = "use_rslora",
        .help = "scale by lora_alpha / sqrt(lora_r) instead",
        .aliases = {"peft_use_rslora", "lora_use_rslora"}},
       &RunConfig::use_rslora},
      {{.name = "init_lora_weights",
        .help = "how A starts: true (Kaiming-uniform) or gaussian; B starts at 0",
        .aliases = {"peft_init_lora_weights"},
        .unbuilt_values = {"false", "pissa", "olora", "loftq", "eva", "corda", "orthogonal"}},
       &RunConfig::init_lora_weights},
      {{.name = "lora_model_dir",
        .help = "start from this adapter; its rank, alpha and targets are used",
        .aliases = {"adapter_name_or_path"}},
       &RunConfig::lora_model_dir},
  };
}

RunFields data_fields() {
  return {
      {{.name = "datasets",
        .help = "list of training data sets",
        .need = Need::kRequired,
        .section = "Data"},
       &RunConfig::datasets},
      {{.name = "test_datasets", .help = "list of data sets to evaluate on"},
       &RunConfig::test_datasets},
      {{.name = "val_set_size",
        .help = "part of the training data kept for evaluation: a share below 1, else a count",
        .range = {0, kMaxCount},
        .aliases = {"val_size"}},
       &RunConfig::val_set_size},
      {{.name = "chat_template",
        .help = "empty or tokenizer_default: the model's own; jinja: chat_template_jinja",
        .choices = {"", "tokenizer_default", "jinja"},
        .unbuilt_values = {"chatml", "llama3", "alpaca", "mistral_v1", "gemma", "phi_3"}},
       &RunConfig::chat_template},
      {{.name = "chat_template_jinja",
        .help = "text of a chat template, or the path of a .jinja file with it"},
       &RunConfig::chat_template_jinja},
      {{.name = "train_on_inputs",
        .help = "learn the prompts too, not only the answers",
        .aliases = {"train_on_input", "train_on_prompt"}},
       &RunConfig::train_on_inputs},
      {{.name = "roles_to_train", .help = "whose messages are learnt (chat_template)"},
       &RunConfig::roles_to_train},
      {{.name = "train_on_eos",
        .help = "learn the end of turn: of trained turns, of all, of the last, of none"},
       &RunConfig::train_on_eos},
      {{.name = "sequence_len",
        .help = "most tokens of an example, and tokens of a packed row",
        .range = {2, 16777216},
        .aliases = {"cutoff_len", "max_seq_length", "max_seq_len", "max_length",
                    "model_max_length"}},
       &RunConfig::sequence_len},
      {{.name = "sample_packing",
        .help = "lay several examples end to end in a row; none sees another",
        .aliases = {"packing", "packed"}},
       &RunConfig::sample_packing},
      {{.name = "excess_length_strategy",
        .help = "what happens to examples longer than sequence_len",
        .aliases = {"sequence_len_overflow_handling"}},
       &RunConfig::excess_length_strategy},
      {{.name = "shuffle", .help = "another order of the examples in each epoch"},
       &RunConfig::shuffle},
  };
}

RunFields batch_fields() {
  return {
      {{.name = "micro_batch_size",
        .help = "examples (with packing: rows of sequence_len) that are in memory at once",
        .range = {1, 65536},
        .aliases = {"per_device_train_batch_size", "batch_size"},
        .section = "Optimization"},
       &RunConfig::micro_batch_size},
      {{.name = "gradient_accumulation_steps",
        .help = "micro-batches of one optimizer step",
        .range = {1, 1048576}},
       &RunConfig::gradient_accumulation_steps},
      {{.name = "eval_batch_size",
        .help = "examples in memory at once in evaluation; 0: micro_batch_size",
        .range = {0, 65536},
        .aliases = {"per_device_eval_batch_size"}},
       &RunConfig::eval_batch_size},
      {{.name = "num_epochs",
        .help = "passes over the training data",
        .range = {.min = 0, .max = 1e6, .min_is_open = true},
        .aliases = {"num_train_epochs", "epochs"}},
       &RunConfig::num_epochs},
      {{.name = "max_steps",
        .help = "stop after so many optimizer steps; 0: by num_epochs",
        .range = {0, kMaxCount},
        .value_aliases = {{"-1", "0"}}},
       &RunConfig::max_steps},
  };
}

RunFields optimizer_fields() {
  return {
      {{.name = "learning_rate",
        .help = "highest learning rate, per optimizer step",
        .range = {.min = 0, .max = 10, .min_is_open = true},
        .aliases = {"lr"}},
       &RunConfig::learning_rate},
      {{.name = "lr_scheduler",
        .help = "how the learning rate falls after the warm-up",
        .aliases = {"lr_scheduler_type"},
        .value_aliases = {{"constant_with_warmup", "constant"}},
        .unbuilt_values = {"cosine_with_min_lr", "warmup_stable_decay", "cosine_with_restarts",
                           "polynomial", "inverse_sqrt", "reduce_lr_on_plateau", "one_cycle",
                           "rex"}},
       &RunConfig::lr_scheduler},
      {{.name = "warmup_steps",
        .help = "optimizer steps over which the learning rate rises from 0",
        .range = {0, kMaxCount},
        .aliases = {"num_warmup_steps"}},
       &RunConfig::warmup_steps},
      {{.name = "warmup_ratio",
        .help = "the same as a share of all steps; only one of the two may be set",
        .range = {0, 1}},
       &RunConfig::warmup_ratio},
      {{.name = "weight_decay", .help = "decoupled weight decay", .range = {0, 10}},
       &RunConfig::weight_decay},
      {{.name = "optimizer",
        .help = "AdamW with moments in 32 bits (adamw_torch) or in 8, block by block (adamw_8bit)",
        .choices = {"adamw_torch", "adamw_8bit"},
        .aliases = {"optim"},
        .value_aliases = {{"adamw_torch_fused", "adamw_torch"},
                          {"adamw_hf", "adamw_torch"},
                          {"adamw_apex_fused", "adamw_torch"},
                          {"adamw", "adamw_torch"},
                          {"torch.optim.AdamW", "adamw_torch"},
                          {"paged_adamw_32bit", "adamw_torch"},
                          {"paged_adamw", "adamw_torch"},
                          {"adamw_bnb_8bit", "adamw_8bit"},
                          {"paged_adamw_8bit", "adamw_8bit"}},
        .unbuilt_values = {"adafactor", "sgd", "lion_8bit", "lion_32bit", "galore_adamw",
                           "adamw_torch_8bit", "muon"}},
       &RunConfig::optimizer},
      {{.name = "adam_beta1",
        .help = "decay of the gradient's mean",
        .range = {.min = 0, .max = 1, .max_is_open = true}},
       &RunConfig::adam_beta1},
      {{.name = "adam_beta2",
        .help = "decay of the gradient's mean square",
        .range = {.min = 0, .max = 1, .max_is_open = true}},
       &RunConfig::adam_beta2},
      {{.name = "adam_epsilon",
        .help = "added to the root of the mean square",
        .range = {.min = 0, .max = 1, .min_is_open = true},
        .aliases = {"adam_eps"}},
       &RunConfig::adam_epsilon},
      {{.name = "max_grad_norm",
        .help = "gradients with a larger norm are scaled down to it; 0: never",
        .range = {0, 1e9},
        .aliases = {"clip_grad_norm", "gradient_clipping"}},
       &RunConfig::max_grad_norm},
  };
}

RunFields machine_fields() {
  return {
      {{.name = "compute_dtype",
        .help =
            "precision of the activations and matrix products; auto: bf16; fp16 scales the loss "
            "by a factor that is found as the run goes",
        .aliases = {"bnb_4bit_compute_dtype", "torch_dtype", "dtype"},
        .value_aliases = {{"bfloat16", "bf16"},
                          {"float16", "fp16"},
                          {"half", "fp16"},
                          {"float32", "fp32"},
                          {"float", "fp32"}},
        .section = "Memory and device"},
       &RunConfig::compute_dtype},
      {{.name = "gradient_checkpointing",
        .help = "blocks whose activations are computed again in the backward pass; auto: as few as "
                "the memory limit allows",
        .aliases = {"enable_activation_checkpointing"},
        .unbuilt_values = {"offload", "offload_disk", "unsloth"}},
       &RunConfig::gradient_checkpointing},
      {{.name = "fit",
        .help =
            "auto: where a step does not fit, before the run or in the middle of it, what takes "
            "less memory and computes the same is tried: smaller micro-batches, more "
            "recomputation, ...; off: only gradient_checkpointing: auto is settled, and running "
            "out of memory is the end",
        .choices = {"auto", "off"}},
       &RunConfig::fit},
      {{.name = "activation_offloading",
        .help = "the inputs of recomputed blocks wait for the backward pass in host memory",
        .aliases = {"enable_activation_offloading"}},
       &RunConfig::activation_offloading},
      {{.name = "embedding_offloading",
        .help = "the embedding table stays in host memory; only where the head has weights of its "
                "own"},
       &RunConfig::embedding_offloading},
      {{.name = "layer_offloading",
        .help = "4-bit weights of blocks that do not fit are streamed from host memory"},
       &RunConfig::layer_offloading},
      {{.name = "tiled_mlp", .help = "the MLPs of recomputed blocks take long sequences in tiles"},
       &RunConfig::tiled_mlp},
      {{.name = "memory_limit",
        .help = "most memory that may be used; 0: what the machine or its cgroup has left",
        .range = {0, kMaxCount},
        .unit = Unit::kBytes},
       &RunConfig::memory_limit},
      {{.name = "device",
        .help = "where to compute; auto: the first GPU where there is one, else the CPU"},
       &RunConfig::device},
      {{.name = "num_threads",
        .help = "threads of the CPU; 0: one for each core that the process may use",
        .range = {0, 4096}},
       &RunConfig::num_threads},
      {{.name = "deterministic",
        .help =
            "on a GPU: every sum in a fixed order, at a cost in time and memory; on a CPU every "
            "run is deterministic"},
       &RunConfig::deterministic},
      {{.name = "attention",
        .help =
            "on a GPU; auto: cuDNN's on Hopper where all documents of a micro-batch have "
            "sequence_len tokens, 1,024 or more, and heads at most 128 features, else "
            "FlashAttention-2; flash, or where deterministic: true: FlashAttention-2 everywhere",
        .choices = {"auto", "flash"}},
       &RunConfig::attention},
  };
}

RunFields running_fields() {
  return {
      {{.name = "eval_steps",
        .help = "evaluate each so many optimizer steps; 0: at the end only",
        .range = {0, kMaxCount},
        .section = "Running"},
       &RunConfig::eval_steps},
      {{.name = "save_steps",
        .help = "save a checkpoint each so many optimizer steps; 0: at the end only",
        .range = {0, kMaxCount}},
       &RunConfig::save_steps},
      {{.name = "save_total_limit",
        .help = "checkpoints kept; at least two always are",
        .range = {1, kMaxCount}},
       &RunConfig::save_total_limit},
      {{.name = "logging_steps",
        .help = "print each so many optimizer steps (metrics.jsonl has every one)",
        .range = {1, kMaxCount}},
       &RunConfig::logging_steps},
      {{.name = "max_oom_recoveries",
        .help = "times that a process goes on after running out of memory",
        .range = {0, kMaxCount}},
       &RunConfig::max_oom_recoveries},
      {{.name = "max_skipped_steps",
        .help = "non-finite steps in a row before the run stops as diverged",
        .range = {0, kMaxCount}},
       &RunConfig::max_skipped_steps},
      {{.name = "output_dir",
        .help = "folder of the adapter, the checkpoints and the records of the run",
        .need = Need::kRequired},
       &RunConfig::output_dir},
      {{.name = "seed", .help = "of shuffling, dropout and the adapter's start"}, &RunConfig::seed},
  };
}

std::vector<Field<DatasetConfig>> make_dataset_fields() {
  return {
      {{.name = "path", .help = ".jsonl or .json file", .need = Need::kRequired},
       &DatasetConfig::path},
      {{.name = "type",
        .help = "how a row is read",
        .value_aliases = {{"sharegpt", "chat_template"}}},
       &DatasetConfig::type},
      {{.name = "field_messages",
        .help = "key of the list of messages (chat_template; conversations is found by itself)"},
       &DatasetConfig::field_messages},
      {{.name = "message_property_role",
        .help = "key of a message's role",
        .aliases = {"message_field_role"}},
       &DatasetConfig::message_property_role},
      {{.name = "message_property_content",
        .help = "key of a message's text",
        .aliases = {"message_field_content"}},
       &DatasetConfig::message_property_content},
      {{.name = "field",
        .help = "key of the text (completion)",
        .aliases = {"dataset_text_field", "text_field"}},
       &DatasetConfig::field},
  };
}

RunFields make_run_config_fields() {
  RunFields all;
  for (RunFields part : {model_fields(), data_fields(), batch_fields(), optimizer_fields(),
                         machine_fields(), running_fields()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace

const std::vector<Field<RunConfig>>& run_config_fields() {
  static const RunFields fields = make_run_config_fields();
  return fields;
}

const std::vector<Field<DatasetConfig>>& dataset_fields() {
  static const std::vector<Field<DatasetConfig>> fields = make_dataset_fields();
  return fields;
}

}  // namespace rung
