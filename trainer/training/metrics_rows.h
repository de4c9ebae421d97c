// The rows of metrics.jsonl (docs/guide/run-folder.md). What reads them is monitor/run_history.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/json.h"
#include "data/loader.h"
#include "memory/device.h"
#include "step/step.h"
#include "training/evaluation.h"
#include "training/machine.h"
#include "training/oom_recovery.h"
#include "training/run_plan.h"

namespace rung::training {

// A process begins to train.
struct StartRow {
  const Machine& machine;
  const RunPlan& plan;
  const fit::StepSettings& settings;  // of its first step
  int64_t first_step = 0;             // steps done before
};
Json row_of(const StartRow& start);

// An optimizer step is done.
struct StepRow {
  const step::StepResult& result;
  const data::StepBatch& batch;  // as it was taken
  std::span<const data::Example> examples;
  const memory::Device& device;  // its peak is the step's
  int64_t step = 0;              // from 1
  double epoch = 0.0;
  double learning_rate = 0.0;
  double seconds = 0.0;
  int64_t tokens_total = 0;
  double elapsed_seconds = 0.0;
  std::optional<double> loss_scale;  // in fp16
};
Json row_of(const StepRow& step);

Json row_of(const Evaluation& evaluation, int64_t step, int64_t memory_peak);

Json row_of(const OutOfMemory& event, int64_t step);

}  // namespace rung::training
