// The configuration of a run: one field per YAML key, with its default.
//
// The fields are listed once more, with range and help, in visit_run_config (run_config.cpp);
// loading, --set, the resolved dump, `rung help config` and the unknown-key check all come from
// that one list.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace rung {

enum class AdapterKind { kLora, kQlora };
enum class ComputeDtype { kAuto, kBf16, kFp16, kFp32 };
enum class ExcessLength { kDrop, kTruncate, kRaise };
enum class LrScheduler { kCosine, kLinear, kConstant };
enum class DatasetType { kChatTemplate, kAlpaca, kCompletion, kInputOutput, kTokenized };
enum class TrainOnEos { kTurn, kAll, kLast, kNone };
enum class InitLora { kKaiming, kGaussian };  // YAML: true | gaussian

// `gradient_checkpointing`: how many blocks are recomputed in the backward pass.
struct Recompute {
  enum class Mode { kAuto, kAll, kNone, kBlocks };
  Mode mode = Mode::kAuto;
  int64_t num_blocks = 0;  // for kBlocks: the first num_blocks blocks of the model
};

// `lora_target_modules`: a list of module-name suffixes, one regular expression (full match), or
// "all-linear".
struct TargetModules {
  enum class Mode { kAllLinear, kList, kRegex };
  Mode mode = Mode::kAllLinear;
  std::vector<std::string> names;  // kList
  std::string regex;               // kRegex
};

// One entry of `datasets` or `test_datasets`.
struct DatasetConfig {
  std::filesystem::path path;  // .jsonl or .json; relative paths count from the working directory
  DatasetType type = DatasetType::kChatTemplate;
  std::string field_messages =
      "messages";  // chat_template; "conversations" (ShareGPT) is detected too
  std::string message_property_role = "role";        // or "from"
  std::string message_property_content = "content";  // or "value"
  std::string field = "text";                        // completion
};

struct RunConfig {
  // model and adapter
  std::string base_model;
  AdapterKind adapter = AdapterKind::kQlora;
  bool load_in_4bit = false;  // loading sets it to what adapter says, unless it is set itself
  std::string bnb_4bit_quant_type = "nf4";
  bool bnb_4bit_use_double_quant = false;
  int64_t lora_r = 8;
  double lora_alpha = 8.0;
  double lora_dropout = 0.0;
  TargetModules lora_target_modules;
  bool use_rslora = false;
  InitLora init_lora_weights = InitLora::kKaiming;
  std::string lora_model_dir;  // start from this adapter

  // data
  std::vector<DatasetConfig> datasets;
  std::vector<DatasetConfig> test_datasets;
  double val_set_size = 0.0;        // < 1: share of the data; >= 1: number of examples
  std::string chat_template;        // "" = the model's own; "tokenizer_default" likewise
  std::string chat_template_jinja;  // template text, or a path to a .jinja file
  bool train_on_inputs = false;
  std::vector<std::string> roles_to_train = {"assistant"};
  TrainOnEos train_on_eos = TrainOnEos::kTurn;
  int64_t sequence_len = 2048;  // tokens
  bool sample_packing = false;
  ExcessLength excess_length_strategy = ExcessLength::kDrop;
  bool shuffle = true;

  // optimization; learning_rate is per optimizer step
  int64_t micro_batch_size = 1;  // rows of sequence_len (packing) or examples (no packing)
  int64_t gradient_accumulation_steps = 1;
  int64_t eval_batch_size = 0;  // 0 = micro_batch_size
  double num_epochs = 1.0;
  int64_t max_steps = 0;  // 0 = by num_epochs
  double learning_rate = 2e-4;
  LrScheduler lr_scheduler = LrScheduler::kCosine;
  int64_t warmup_steps = 0;
  double warmup_ratio = 0.0;  // of all steps; only one of the two may be set
  double weight_decay = 0.0;
  std::string optimizer = "adamw_torch";
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;  // 0 = no clipping

  // memory and device
  ComputeDtype compute_dtype = ComputeDtype::kAuto;
  Recompute gradient_checkpointing;
  std::string fit = "auto";  // or "off"
  bool activation_offloading = false;
  bool embedding_offloading = false;
  bool layer_offloading = false;
  bool tiled_mlp = false;
  int64_t memory_limit = 0;        // bytes; 0 = what the machine or its cgroup has left
  std::string memory_limit_place;  // no key: where the limit was set, "file:line", for messages
  std::string device = "auto";
  int64_t num_threads = 0;  // 0 = one for each core that the process may use
  bool deterministic = false;
  std::string attention = "auto";  // or "flash"

  // running
  int64_t eval_steps = 0;  // 0 = at the end only
  int64_t save_steps = 0;  // 0 = at the end only
  int64_t save_total_limit = 2;
  int64_t logging_steps = 1;
  int64_t max_oom_recoveries = 20;  // of one process
  int64_t max_skipped_steps = 5;  // non-finite steps in a row before the run stops with exit code 5
  std::filesystem::path output_dir;
  uint64_t seed = 42;
};

}  // namespace rung
