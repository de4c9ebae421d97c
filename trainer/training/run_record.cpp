#include "training/run_record.h"

#include <torch/headeronly/version.h>

#include "base/json.h"
#include "base/publish.h"
#include "base/version.h"
#include "memory/system_memory.h"

namespace rung::training {

void write_run_record(const std::filesystem::path& output_dir, const RunRecord& record) {
  const Json json = {
      {"exit_code", static_cast<int>(record.exit_code)},
      {"exit_reason", record.exit_reason},
      {"steps", record.steps},
      {"memory",
       {{"limit", record.memory_limit},
        {"planned_peak", record.planned_peak},
        {"measured_peak", record.measured_peak},
        {"process_peak", memory::process_peak()},
        {"by_phase", record.peak_by_phase}}},
      {"rung_changes", Json::array()},
      {"oom_recoveries", 0},
      {"skipped_steps", record.skipped_steps},
      {"tokens", record.tokens},
      {"seconds", record.seconds},
      {"versions", {{"rung", kVersion}, {"commit", kCommit}, {"libtorch", TORCH_VERSION}}},
      {"hashes", record.hashes},
      {"config", record.config}};
  publish_file(output_dir / "run.json",
               json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

bool run_is_finished(const std::filesystem::path& output_dir) {
  for (const char* name : {"run.json", "adapter_config.json", "adapter_model.safetensors"}) {
    if (!std::filesystem::exists(output_dir / name)) return false;
  }
  try {
    const Json record = read_json_file(output_dir / "run.json");
    return record.is_object() && record.contains("exit_code") &&
           record["exit_code"] == static_cast<int>(ExitCode::kOk);
  } catch (const Error&) {  // damaged: going on from the last checkpoint writes it again
    return false;
  }
}

}  // namespace rung::training
