#include "monitor/snapshot_json.h"

#include <optional>
#include <string>

#include "base/this_machine.h"

namespace rung::monitor {
namespace {

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json findings_json(const Verdict& verdict) {
  Json findings = Json::array();
  for (const Finding& finding : verdict.findings) {
    findings.push_back({{"kind", name_of(finding.kind)},
                        {"harm", name_of(finding.harm)},
                        {"evidence", finding.evidence},
                        {"advice", finding.advice},
                        {"figures", finding.figures}});
  }
  return findings;
}

Json memory_json(const MemoryPicture& memory) {
  return {{"total", or_null(memory.total)},
          {"free", or_null(memory.free)},
          {"neighbours", or_null(memory.neighbours)},
          {"live", or_null(memory.live)},
          {"peak", or_null(memory.peak)},
          {"reserved", or_null(memory.reserved)},
          {"other", or_null(memory.other)},
          {"limit", or_null(memory.limit)},
          {"planned_peak", or_null(memory.planned_peak)},
          {"measured_peak", or_null(memory.measured_peak)}};
}

Json progress_json(const RunProgress& progress) {
  return {{"step", or_null(progress.step)},
          {"total_steps", or_null(progress.total_steps)},
          {"epoch", or_null(progress.epoch)},
          {"loss", or_null(progress.loss)},
          {"validation_loss", or_null(progress.validation_loss)},
          {"validation_step", or_null(progress.validation_step)},
          {"tokens_per_second", or_null(progress.tokens_per_second)},
          {"seconds_left", or_null(progress.seconds_left)}};
}

// The keys of a GPU at work, which are the same at the top and in `gpus`.
void add_work(const GpuFigures& gpu, Json& json) {
  json["utilisation"] = or_null(gpu.utilisation);
  json["temperature"] = or_null(gpu.temperature);
  json["memory_utilisation"] = or_null(gpu.memory_utilisation);
  json["power"] = {{"draw", or_null(gpu.power)}, {"limit", or_null(gpu.power_limit)}};
  json["clocks"] = {{"sm", or_null(gpu.sm_clock)}, {"memory", or_null(gpu.memory_clock)}};
}

Json gpu_memory_json(const GpuFigures& gpu) {
  if (!gpu.memory) return {};
  return {{"total", gpu.memory->total}, {"free", gpu.memory->free}, {"used", gpu.memory->used}};
}

Json gpu_json(const GpuFigures& gpu) {
  Json json = {{"name", or_null(gpu.name)},
               {"pci_bus_id", or_null(gpu.pci_bus_id)},
               {"memory", gpu_memory_json(gpu)}};
  add_work(gpu, json);
  json["processes"] = nullptr;
  if (!gpu.processes) return json;
  json["processes"] = Json::array();
  for (const GpuProcess& process : *gpu.processes) {
    json["processes"].push_back({{"pid", process.pid}, {"memory", or_null(process.memory_used)}});
  }
  return json;
}

}  // namespace

Json run_json(const Snapshot& snapshot) {
  Json json = {{"verdict", name_of(snapshot.verdict.kind)},
               {"evidence", snapshot.verdict.evidence},
               {"memory", memory_json(snapshot.memory)}};
  add_work(snapshot.gpu.value_or(GpuFigures{}), json);
  json["findings"] = findings_json(snapshot.verdict);
  json["state"] = name_of(snapshot.state);
  json["exit_code"] = snapshot.outcome ? Json(snapshot.outcome->exit_code) : Json();
  json["exit_reason"] = snapshot.outcome ? Json(snapshot.outcome->exit_reason) : Json();
  json["progress"] = progress_json(snapshot.progress);
  json["rung"] = or_null(snapshot.rung);
  json["recoveries"] = snapshot.recoveries;
  json["device"] = or_null(snapshot.device);
  json["host"] = or_null(snapshot.host);
  json["pid"] = snapshot.pid > 0 ? Json(snapshot.pid) : Json();
  json["time"] = seconds_since_1970();
  return json;
}

Json gpus_json(std::span<const GpuFigures> gpus) {
  const GpuFigures only = gpus.size() == 1 ? gpus.front() : GpuFigures{};
  Json json = {{"verdict", nullptr}, {"evidence", nullptr}, {"memory", gpu_memory_json(only)}};
  add_work(only, json);
  json["gpus"] = Json::array();
  for (const GpuFigures& gpu : gpus) json["gpus"].push_back(gpu_json(gpu));
  json["time"] = seconds_since_1970();
  return json;
}

}  // namespace rung::monitor
