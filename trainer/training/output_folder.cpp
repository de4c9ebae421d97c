#include "training/output_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <system_error>

#include "base/config.h"
#include "base/disk.h"
#include "base/error.h"
#include "base/json.h"
#include "base/publish.h"
#include "base/sha256.h"
#include "training/checkpoint.h"

namespace rung::training {

namespace fs = std::filesystem;

namespace {

// " (it ended with: ...)", as run.json says; "" where that is absent or damaged.
std::string reason_of_end(const fs::path& dir) {
  std::error_code error;
  if (!fs::exists(dir / "run.json", error)) return "";
  try {
    return fmt::format(" (it ended with: {})",
                       read_json_file(dir / "run.json").at("exit_reason").get<std::string>());
  } catch (const std::exception&) {
    return "";
  }
}

std::optional<fs::path> newest_sound_checkpoint(const fs::path& dir) {
  for (const fs::path& checkpoint : list_checkpoints(dir)) {
    try {
      verify_checkpoint(checkpoint);
      return checkpoint;
    } catch (const Error&) {
      continue;  // an older one may be sound
    }
  }
  return std::nullopt;
}

}  // namespace

void check_output_dir(const RunConfig& config) {
  if (config.lora_model_dir.empty()) return;
  const fs::path start = fs::weakly_canonical(config.lora_model_dir);
  const fs::path output = fs::weakly_canonical(config.output_dir);
  const auto differs = std::mismatch(output.begin(), output.end(), start.begin(), start.end());
  if (differs.first != output.end()) return;
  throw Error(ExitCode::kConfig, {.what = "lora_model_dir lies in output_dir",
                                  .hint = "give the new adapter a folder of its own",
                                  .where = config.output_dir.string()});
}

void refuse_unfinished_run(const fs::path& dir) {
  std::error_code error;
  const auto has = [&](const char* name) { return fs::exists(dir / name, error); };
  const bool is_run = has("run.json") || has("checkpoints") || has("config.resolved.yaml");
  if (!is_run || has("adapter_model.safetensors")) return;
  const std::optional<fs::path> checkpoint = newest_sound_checkpoint(dir);
  throw Error(
      ExitCode::kConfig,
      {.what = fmt::format("the run in this folder is not finished, it has no adapter yet{}",
                           reason_of_end(dir)),
       .hint = checkpoint ? "go on with `rung train CONFIG`, or use its newest checkpoint: " +
                                checkpoint->string()
                          : "go on with `rung train CONFIG`; it has no checkpoint either",
       .where = dir.string()});
}

void discard_previous_run(const fs::path& output_dir) {
  // The configuration last: after a crash on the way it still says whose the rest is.
  for (const char* name : {"run.json", "adapter_model.safetensors", "adapter_config.json",
                           "checkpoints", "metrics.jsonl", "report.html", "config.resolved.yaml"}) {
    fs::remove_all(output_dir / name);
  }
}

void open_run_folder(const RunConfig& config, const MetricsPosition& position) {
  // First: a run of which something is missing must not pass for a finished one.
  fs::remove(config.output_dir / "run.json");
  truncate_metrics(config.output_dir / "metrics.jsonl", position);
  publish_file(config.output_dir / "config.resolved.yaml", dump_resolved_yaml(config));
}

std::map<std::string, std::string> publish_adapter(const fs::path& output_dir,
                                                   const format::AdapterFolder& adapter) {
  const fs::path partial = output_dir / ".adapter.partial";
  fs::remove_all(partial);
  fs::create_directory(partial);
  format::write_adapter(partial, adapter);
  std::map<std::string, std::string> hashes;
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    sync_path(partial / name);
    rename_durably(partial / name, output_dir / name);
    hashes[name] = sha256_of_file(output_dir / name);
  }
  fs::remove(partial);
  return hashes;
}

}  // namespace rung::training
