#include "base/config_checks.h"

#include <cmath>
#include <string_view>
#include <utility>

namespace rung {
namespace {

class Checker {
 public:
  Checker(ConfigNode& root, LoadedConfig& loaded, ConfigErrors& errors)
      : root_(root), loaded_(loaded), config_(loaded.config), errors_(errors) {}

  void run() {
    settle_four_bit();
    check_adapter();
    check_template();
    check_memory();
    check_evaluation();
    check_schedule();
    if (config_.save_total_limit < 2) {
      config_.save_total_limit = 2;
      note("save_total_limit: 1 read as 2: the newest checkpoint may turn out damaged");
    }
  }

 private:
  bool is_set(const std::string& key) const { return loaded_.explicit_keys.contains(key); }
  void note(std::string text) { loaded_.notes.push_back(std::move(text)); }

  void refuse(std::string_view key, std::string what, std::string hint) {
    const ConfigEntry* entry = root_.find(key);
    errors_.add({.what = std::move(what),
                 .hint = std::move(hint),
                 .where = entry == nullptr ? root_.where : entry->where});
  }

  void settle_four_bit() {
    if (!is_set("load_in_4bit")) {
      config_.load_in_4bit = config_.adapter == AdapterKind::kQlora;
    } else if (!config_.load_in_4bit && config_.adapter == AdapterKind::kQlora) {
      if (is_set("adapter")) {
        refuse("load_in_4bit", "adapter: qlora contradicts load_in_4bit: false",
               "use adapter: lora for a model that is not in 4 bits");
      } else {
        config_.adapter = AdapterKind::kLora;
        note("load_in_4bit: false read as adapter: lora");
      }
    } else if (config_.load_in_4bit && config_.adapter == AdapterKind::kLora) {
      config_.adapter = AdapterKind::kQlora;
      note("adapter: lora with load_in_4bit: true read as adapter: qlora");
    }
    if (config_.bnb_4bit_use_double_quant && !config_.load_in_4bit) {
      note("bnb_4bit_use_double_quant has no effect: the model is not held in 4 bits");
    }
  }

  void check_adapter() {
    if (!config_.lora_model_dir.empty() && config_.init_lora_weights != InitLora::kKaiming) {
      refuse("init_lora_weights", "init_lora_weights contradicts lora_model_dir",
             "an adapter that is loaded has its weights already");
    }
  }

  void check_memory() {
    if (config_.layer_offloading && !config_.load_in_4bit) {
      refuse("layer_offloading", "layer_offloading streams 4-bit weights only",
             "set adapter: qlora");
    }
    const bool none_recomputed = config_.gradient_checkpointing.mode == Recompute::Mode::kNone;
    for (const auto& [key, is_on] :
         {std::pair("activation_offloading", config_.activation_offloading),
          std::pair("tiled_mlp", config_.tiled_mlp)}) {
      if (!is_on || !none_recomputed) continue;
      refuse(key, std::string(key) + " contradicts gradient_checkpointing: false",
             "it works on recomputed blocks: set gradient_checkpointing: true or auto");
    }
  }

  void check_template() {
    const bool has_text = !config_.chat_template_jinja.empty();
    if (config_.chat_template == "jinja" && !has_text) {
      refuse("chat_template", "chat_template: jinja needs chat_template_jinja",
             "give the template's text or the path of a .jinja file");
    }
    if (config_.chat_template == "tokenizer_default" && has_text) {
      refuse("chat_template", "chat_template: tokenizer_default contradicts chat_template_jinja",
             "set one of the two");
    }
  }

  void check_evaluation() {
    if (config_.val_set_size >= 1 && config_.val_set_size != std::floor(config_.val_set_size)) {
      refuse("val_set_size", "val_set_size is neither a share below 1 nor a whole count", "");
    }
    const bool has_test = !config_.test_datasets.empty();
    if (has_test && config_.val_set_size > 0) {
      refuse("val_set_size", "val_set_size and test_datasets are both set",
             "a part kept from the training data would never be used: set one of the two");
    }
    if (config_.eval_steps > 0 && !has_test && config_.val_set_size == 0) {
      refuse("eval_steps", "eval_steps is set, but there is nothing to evaluate on",
             "set val_set_size or test_datasets");
    }
  }

  void check_schedule() {
    if (config_.warmup_steps > 0 && config_.warmup_ratio > 0) {
      refuse("warmup_ratio", "warmup_steps and warmup_ratio are both set", "set one of the two");
    }
    if (config_.max_steps > 0 && config_.warmup_steps > config_.max_steps) {
      refuse("warmup_steps", "warmup_steps is larger than max_steps",
             "the learning rate would never reach learning_rate");
    }
  }

  ConfigNode& root_;
  LoadedConfig& loaded_;
  RunConfig& config_;
  ConfigErrors& errors_;
};

}  // namespace

void check_run_config(ConfigNode& root, LoadedConfig& loaded, ConfigErrors& errors) {
  Checker(root, loaded, errors).run();
}

}  // namespace rung
