#include "training/run_record.h"

#include <torch/headeronly/version.h>

#include <array>
#include <exception>

#include "base/json.h"
#include "base/publish.h"
#include "base/sha256.h"
#include "base/version.h"
#include "memory/system_memory.h"

namespace rung::training {
namespace {

// What a finished run leaves for PEFT.
constexpr std::array<const char*, 2> kOutputs = {"adapter_config.json",
                                                 "adapter_model.safetensors"};

// Inputs and outputs side by side; the names of the two never meet.
Json hashes_of(const RunRecord& record) {
  Json hashes = record.inputs;
  for (const auto& [name, hash] : record.outputs) hashes[name] = hash;
  return hashes;
}

Json changes_of(const RunRecord& record) {
  Json changes = Json::array();
  for (const RungChange& change : record.rung_changes) {
    changes.push_back({{"step", change.step},
                       {"from", change.from},
                       {"to", change.to},
                       {"reason", change.reason}});
  }
  return changes;
}

}  // namespace

void write_run_record(const std::filesystem::path& output_dir, const RunRecord& record) {
  const Json json = {
      {"exit_code", static_cast<int>(record.exit_code)},
      {"exit_reason", record.exit_reason},
      {"steps", record.steps},
      {"memory",
       {{"limit", record.memory_limit},
        {"planned_peak", record.planned_peak},
        {"planned_by_phase", record.planned_by_phase},
        {"measured_peak", record.measured_peak},
        {"process_peak", memory::process_peak()},
        {"by_phase", record.peak_by_phase}}},
      {"rung_changes", changes_of(record)},
      {"oom_recoveries", record.oom_recoveries},
      {"skipped_steps", record.skipped_steps},
      {"tokens", record.tokens},
      {"seconds", record.seconds},
      {"versions", {{"rung", kVersion}, {"commit", kCommit}, {"libtorch", TORCH_VERSION}}},
      {"hashes", hashes_of(record)},
      {"config", record.config}};
  publish_file(output_dir / "run.json",
               json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<InputHashes> inputs_of_finished_run(const std::filesystem::path& output_dir) {
  if (!std::filesystem::exists(output_dir / "run.json")) return std::nullopt;
  try {
    const Json record = read_json_file(output_dir / "run.json");
    if (!record.is_object() || record.value("exit_code", Json()) != static_cast<int>(ExitCode::kOk))
      return std::nullopt;
    auto hashes = record.at("hashes").get<InputHashes>();
    for (const char* name : kOutputs) {
      if (sha256_of_file(output_dir / name) != hashes.at(name)) return std::nullopt;
      hashes.erase(name);
    }
    return hashes;
  } catch (const std::exception&) {
    return std::nullopt;  // damaged or absent: going on from the last checkpoint writes it again
  }
}

}  // namespace rung::training
