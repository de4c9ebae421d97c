// What is known of a run before it starts: memory by phase and component, the ladder, time, and
// what other GPUs would make of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "fit/gpu_table.h"
#include "fit/step_time.h"
#include "training/run_load.h"
#include "training/run_plan.h"

namespace rung::training {

struct PlannedRung {
  std::string name;  // in words (fit/ladder.h)
  int64_t peak = 0;  // bytes
  std::optional<double> tokens_per_second;
  bool fits = false;
  bool fits_24_gb = false;  // a card of 24 GB, 23 GiB for the process
  bool is_chosen = false;
};

struct PlannedGpu {
  std::string name;
  int64_t limit = 0;  // bytes for tensors
  bool fits = false;
  std::string rung;  // the one that would be taken, or the last
  int64_t peak = 0;  // bytes
  std::optional<double> hours;
  std::optional<double> cost;  // in the currency of the table
};

struct PlanReport {
  std::string device;
  data::DatasetReport data;  // of the training data
  int64_t limit = 0;         // bytes for tensors
  bool fits = false;
  std::string advice;                         // where it does not fit: what would help
  int64_t peak = 0;                           // bytes, of all phases
  std::map<std::string, int64_t> phases;      // bytes: load, train, eval, save, resume
  std::map<std::string, int64_t> components;  // bytes at the peak of a training step
  int64_t host_peak = 0;                      // bytes of host memory in a training step
  std::optional<std::string> attention;       // attention_note()
  int64_t total_steps = 0;
  double tokens = 0.0;  // that the run takes
  std::vector<PlannedRung> rungs;
  std::vector<PlannedGpu> gpus;
  std::string times;  // where the times are from, or how to find them: a line
};

struct ReportRequest {
  PlanRequest plan;
  std::string device;          // name
  data::DatasetReport data;    // of the training data
  std::vector<fit::Gpu> gpus;  // to be compared; may be empty
  std::string times;           // where plan.rates are from, or how to find them: a line
};

// A GPU's own figures, with a share of the rated products; none in fp32, whose rate is not in the
// table.
std::optional<fit::DeviceRates> rates_on(const fit::Gpu& gpu, c10::ScalarType compute);

// Runs steps on shapes only. Where the run does not fit `fits` says so, and `advice` what would
// help.
PlanReport make_plan_report(const ReportRequest& request);

// The share of a GPU's rated products that training steps are taken to reach where nothing was
// measured.
inline constexpr double kAssumedShare = 0.45;

Json plan_json(const PlanReport& report);
std::string plan_text(const PlanReport& report);

}  // namespace rung::training
