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
#include "base/publish.h"
#include "training/checkpoint.h"
#include "training/run_record.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;

// Keys that may change between two processes of one run: they say where and how often, not what.
constexpr std::array<std::string_view, 10> kFreeKeys = {
    "output_dir",   "save_steps", "save_total_limit", "logging_steps",          "device",
    "memory_limit", "eval_steps", "eval_batch_size",  "gradient_checkpointing", "num_threads"};

std::vector<std::string> binding_changes(const RunConfig& saved, const RunConfig& now) {
  std::vector<std::string> changed = changed_keys(saved, now);
  std::erase_if(changed, [](const std::string& key) {
    return std::ranges::find(kFreeKeys, key) != kFreeKeys.end();
  });
  return changed;
}

// The configuration of the run that output_dir holds must be this one.
void check_same_run(const fs::path& saved_config, const RunConfig& config) {
  const RunConfig saved = load_run_config(saved_config, {}).config;
  const std::vector<std::string> changed = binding_changes(saved, config);
  if (changed.empty()) return;
  throw Error(ExitCode::kConfig,
              {.what = "output_dir holds a run with another configuration",
               .got = fmt::format("other values of {}", fmt::join(changed, ", ")),
               .hint = "restore them, choose another output_dir, or start anew with --resume never",
               .where = config.output_dir.string()});
}

std::optional<fs::path> newest_sound(const fs::path& output_dir, std::ostream& log) {
  const std::vector<fs::path> all = list_checkpoints(output_dir);
  for (const fs::path& checkpoint : all) {
    try {
      verify_manifest(checkpoint);
      return checkpoint;
    } catch (const Error& error) {
      fmt::print(log, "warning: a checkpoint is passed over: {}\n", error.what());
    }
  }
  if (all.empty()) return std::nullopt;
  throw Error(ExitCode::kDamaged, {.what = "no checkpoint of this run is sound",
                                   .hint = "remove the folder, or start anew with --resume never",
                                   .where = (output_dir / "checkpoints").string()});
}

}  // namespace

void discard_previous_run(const fs::path& output_dir) {
  // The configuration last: after a crash on the way it still says whose the rest is.
  for (const char* name : {"adapter_model.safetensors", "adapter_config.json", "checkpoints",
                           "metrics.jsonl", "run.json", "config.resolved.yaml"}) {
    fs::remove_all(output_dir / name);
  }
}

StartingPoint find_starting_point(const RunConfig& config, const ResumeChoice& choice,
                                  std::ostream& log) {
  if (choice.mode == ResumeChoice::Mode::kNever) {
    return {.discard_previous = true};
  }
  if (choice.mode == ResumeChoice::Mode::kFrom) {
    if (!fs::exists(choice.checkpoint)) {
      throw Error(ExitCode::kConfig, {.what = "the checkpoint to resume from does not exist",
                                      .where = choice.checkpoint.string()});
    }
    verify_manifest(choice.checkpoint);
    check_same_run(choice.checkpoint / "config.resolved.yaml", config);
    return {.checkpoint = choice.checkpoint};
  }
  const fs::path saved_config = config.output_dir / "config.resolved.yaml";
  if (fs::exists(saved_config)) {
    check_same_run(saved_config, config);
    if (run_is_finished(config.output_dir)) return {.finished = true};
  }
  const std::optional<fs::path> checkpoint = newest_sound(config.output_dir, log);
  if (checkpoint) check_same_run(*checkpoint / "config.resolved.yaml", config);
  return {.checkpoint = checkpoint};
}

}  // namespace rung::training
