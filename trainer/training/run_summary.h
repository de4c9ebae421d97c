// The lines that a run prints before its first step: device, model, adapter, data, plan.
#pragma once

#include <cstdint>
#include <string>

#include "base/run_config.h"
#include "data/dataset.h"
#include "training/machine.h"
#include "training/run_plan.h"

namespace rung::training {

struct RunSummary {
  const RunConfig& config;
  const Machine& machine;
  const data::DatasetReport& data;
  const RunPlan& plan;
  int64_t num_blocks = 0;
  int64_t num_adapted = 0;     // linears
  int64_t num_parameters = 0;  // of the adapter
};

// Ends with a line break; safe for a terminal.
std::string summary_text(const RunSummary& summary);

}  // namespace rung::training
