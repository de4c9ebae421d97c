// What is settled before the first step: number of steps, schedule, recomputed blocks, size of the
// evaluation's batches, planned memory.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/run_config.h"
#include "data/loader.h"
#include "fit/step_memory.h"
#include "step/schedule.h"
#include "step/step.h"
#include "training/evaluation_plan.h"
#include "training/setup.h"

namespace rung::training {

struct PlanRequest {
  const RunConfig& config;
  const format::ModelConfig& model;
  const model::AdapterOptions& adapter;
  std::span<const data::Example> examples;
  std::span<const data::Example> validation;  // may be empty
  int64_t memory_limit = 0;                   // bytes
};

struct RunPlan {
  int64_t steps_in_epoch = 0;
  int64_t total_steps = 0;
  step::Schedule schedule;
  int64_t num_recomputed = 0;  // blocks
  model::Dequantisation dequantisation = model::Dequantisation::kEachProduct;
  int64_t train_peak = 0;  // bytes of tensors in the largest step
  EvaluationPlan evaluation;

  int64_t planned_peak() const;                             // of all phases, bytes
  std::map<std::string, int64_t> planned_by_phase() const;  // bytes; only phases that there are
};

// Blocks that a run may recompute at most: those that the user chose, else all.
int64_t most_recomputed(const Recompute& wanted, const format::ModelConfig& model);

data::LoaderOptions loader_options(const RunConfig& config);

// How each step of a planned run is taken.
step::StepOptions step_options(const RunConfig& config, const RunPlan& plan);

// Throws Error kDoesNotFit, with what would help (training/does_not_fit.h), where a step or an
// evaluation does not fit into memory_limit; nothing of the size of the weights is loaded before.
RunPlan plan_run(const PlanRequest& request);

}  // namespace rung::training
