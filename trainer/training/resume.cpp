#include "training/resume.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "training/checkpoint.h"
#include "training/run_record.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;

// Keys that may change between two processes of one run: they say where and how often, not what.
constexpr std::array<std::string_view, 19> kFreeKeys = {"output_dir",
                                                        "save_steps",
                                                        "save_total_limit",
                                                        "logging_steps",
                                                        "device",
                                                        "memory_limit",
                                                        "eval_steps",
                                                        "eval_batch_size",
                                                        "gradient_checkpointing",
                                                        "num_threads",
                                                        "attention",
                                                        "deterministic",
                                                        "fit",
                                                        "max_skipped_steps",
                                                        "max_oom_recoveries",
                                                        "activation_offloading",
                                                        "embedding_offloading",
                                                        "layer_offloading",
                                                        "tiled_mlp"};

// What is compared by content (training/run_inputs.h) may lie elsewhere now.
RunConfig without_paths(RunConfig config) {
  config.base_model.clear();
  config.lora_model_dir.clear();
  config.chat_template_jinja.clear();
  for (auto* datasets : {&config.datasets, &config.test_datasets}) {
    for (DatasetConfig& dataset : *datasets) dataset.path.clear();
  }
  return config;
}

std::vector<std::string> binding_changes(const RunConfig& saved, const RunConfig& now) {
  std::vector<std::string> changed = changed_keys(without_paths(saved), without_paths(now));
  std::erase_if(changed, [](const std::string& key) {
    return std::ranges::find(kFreeKeys, key) != kFreeKeys.end();
  });
  return changed;
}

// Compares what is found with the run that is asked for.
class SameRun {
 public:
  explicit SameRun(const RunConfig& config) : config_(config) {}

  // `owner`: the folder that the messages speak of.
  void check_config(const fs::path& saved_config, const fs::path& owner) const {
    const std::vector<std::string> changed =
        binding_changes(load_run_config(saved_config, {}).config, config_);
    if (!changed.empty()) refuse("another configuration", "other values of ", changed, owner);
  }

  void check_inputs(const InputHashes& saved, const fs::path& owner) {
    if (!inputs_) inputs_ = hash_inputs(config_);
    const std::vector<std::string> changed = changed_inputs(saved, *inputs_, config_);
    if (!changed.empty()) refuse("other inputs", "other contents of ", changed, owner);
  }

  // Of what the run reads, if anything had to be compared.
  const std::optional<InputHashes>& inputs() const { return inputs_; }

  void check_checkpoint(const fs::path& checkpoint, const fs::path& owner) {
    check_config(checkpoint / "config.resolved.yaml", owner);
    check_inputs(read_inputs(checkpoint), owner);
  }

 private:
  [[noreturn]] void refuse(const std::string& difference, const std::string& lead,
                           const std::vector<std::string>& changed, const fs::path& owner) const {
    const bool is_output = owner == config_.output_dir;
    throw Error(
        ExitCode::kConfig,
        {.what = fmt::format("{} a run with {}",
                             is_output ? "output_dir holds" : "the checkpoint is of", difference),
         .got = fmt::format("{}{}", lead, fmt::join(changed, ", ")),
         .hint = is_output ? "restore them, choose another output_dir, or start anew with "
                             "--resume never"
                           : "restore them, name a checkpoint of this run, or start anew with "
                             "--resume never",
         .where = owner.string()});
  }

  const RunConfig& config_;
  std::optional<InputHashes> inputs_;  // hashed once, and only where there is something to compare
};

// The newest sound checkpoint; damaged ones are named on `log`.
std::optional<fs::path> newest_sound(const fs::path& output_dir, std::ostream& log) {
  for (const fs::path& checkpoint : list_checkpoints(output_dir)) {
    try {
      verify_checkpoint(checkpoint);
      return checkpoint;
    } catch (const Error& error) {
      fmt::print(log, "warning: a checkpoint is passed over: {}\n", error.what());
    }
  }
  return std::nullopt;
}

StartingPoint resume_auto(const RunConfig& config, std::ostream& log) {
  const fs::path& output_dir = config.output_dir;
  SameRun same(config);
  if (fs::exists(output_dir / "config.resolved.yaml")) {
    same.check_config(output_dir / "config.resolved.yaml", output_dir);
    if (const auto inputs = inputs_of_finished_run(output_dir)) {
      same.check_inputs(*inputs, output_dir);
      return {.finished = true};
    }
  }
  const std::optional<fs::path> checkpoint = newest_sound(output_dir, log);
  if (checkpoint) {
    same.check_checkpoint(*checkpoint, output_dir);
  } else if (!list_checkpoints(output_dir).empty()) {
    throw Error(ExitCode::kDamaged, {.what = "no checkpoint of this run is sound",
                                     .hint = "remove the folder, or start anew with --resume never",
                                     .where = (output_dir / "checkpoints").string()});
  }
  return {.checkpoint = checkpoint, .inputs = same.inputs()};
}

StartingPoint resume_from(const fs::path& checkpoint, const RunConfig& config, std::ostream& log) {
  if (!fs::exists(checkpoint)) {
    throw Error(ExitCode::kConfig, {.what = "the checkpoint to resume from does not exist",
                                    .where = checkpoint.string()});
  }
  verify_checkpoint(checkpoint);
  SameRun same(config);
  same.check_checkpoint(checkpoint, checkpoint);
  // Its own checkpoints may be damaged, which is a reason to name one from elsewhere; but what is
  // there must not be another run's.
  const fs::path& output_dir = config.output_dir;
  if (fs::exists(output_dir / "config.resolved.yaml")) {
    same.check_config(output_dir / "config.resolved.yaml", output_dir);
    if (const auto inputs = inputs_of_finished_run(output_dir)) {
      same.check_inputs(*inputs, output_dir);
    }
  }
  if (const auto newest = newest_sound(output_dir, log)) {
    same.check_checkpoint(*newest, output_dir);
  }
  return {.checkpoint = checkpoint,
          .previous = StartingPoint::Previous::kRepeats,
          .inputs = same.inputs()};
}

}  // namespace

StartingPoint find_starting_point(const RunConfig& config, const ResumeChoice& choice,
                                  std::ostream& log) {
  switch (choice.mode) {
    case ResumeChoice::Mode::kNever:
      return {.previous = StartingPoint::Previous::kDiscard};
    case ResumeChoice::Mode::kFrom:
      return resume_from(choice.checkpoint, config, log);
    case ResumeChoice::Mode::kAuto:
      break;
  }
  return resume_auto(config, log);
}

}  // namespace rung::training
