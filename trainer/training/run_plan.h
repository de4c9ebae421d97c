// What is settled before the first step: number of steps, schedule, recomputed blocks, size of the
// evaluation's batches, planned memory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/run_config.h"
#include "data/example_sizes.h"
#include "data/loader.h"
#include "fit/choose.h"
#include "step/schedule.h"
#include "step/step.h"
#include "training/evaluation_plan.h"
#include "training/run_load.h"
#include "training/setup.h"

namespace rung::training {

struct PlanRequest {
  const RunConfig& config;
  const format::ModelConfig& model;
  const model::AdapterOptions& adapter;
  data::ExampleSizes examples;
  data::ExampleSizes validation;          // may be empty
  int64_t memory_limit = 0;               // bytes, for tensors
  c10::DeviceType device = c10::kCPU;     // the kind that is planned for
  int64_t num_multiprocessors = 0;        // of a GPU
  int64_t architecture = 0;               // of a GPU, 90 for sm_90; 0: not known
  int64_t host_limit = 0;                 // bytes of host memory beside a GPU; 0: not known
  std::optional<fit::DeviceRates> rates;  // of the device; none: assumed
};

// How a step is to be taken.
struct StepPlan {
  model::ModelOptions model;  // as it is to be loaded
  fit::LadderBounds bounds;   // of the largest step
  fit::Choice choice;
};

struct RunPlan {
  int64_t steps_in_epoch = 0;
  int64_t total_steps = 0;
  step::Schedule schedule;
  model::ModelOptions model;   // as it is to be loaded
  fit::StepSettings wanted;    // by the configuration, before anything is changed to make it fit
  fit::StepSettings settings;  // of the first step
  fit::LadderBounds bounds;    // of the largest
  int64_t wanted_peak = 0;     // bytes of tensors in the largest step as it was wanted
  int64_t train_peak = 0;      // the same as it is taken
  int64_t host_peak = 0;       // bytes of host memory in it
  // Bytes of tensors at its peak.
  std::map<std::string, int64_t> by_component;
  EvaluationPlan evaluation;

  fit::LadderBounds bounds_for(const data::StepBatch& batch) const;
  int64_t planned_peak() const;                             // of all phases, bytes
  std::map<std::string, int64_t> planned_by_phase() const;  // bytes; only phases that there are
};

// Blocks that a run may recompute at most: those that the user chose, else all.
int64_t most_recomputed(const Recompute& wanted, const format::ModelConfig& model);

data::LoaderOptions loader_options(const RunConfig& config);

// Optimizer steps of the whole run.
int64_t total_steps(const RunConfig& config, int64_t steps_in_epoch);

// How each step of a planned run is taken.
step::StepOptions step_options(const RunConfig& config, const fit::StepSettings& settings);

// The settings that the configuration asks for itself, before anything is changed to make it fit.
fit::StepSettings wanted_settings(const PlanRequest& request);

// What bounds the ladder of the run's largest step, `shape`. Without the host's memory where the
// top of the ladder would not fit into it: in the middle of a run nobody asks again.
fit::LadderBounds ladder_bounds(const PlanRequest& request, const fit::StepShape& shape);

// Whether what the step keeps in host memory fits there; what is said where it does not, which only
// the configuration's own keys can bring about.
bool fits_on_host(const PlanRequest& request, const fit::Choice& choice);
Error host_misfit(const PlanRequest& request, const fit::Choice& choice);

// The largest step of a run. Its settings are not in it.
fit::StepShape step_shape(const PlanRequest& request);

// How that step is taken within request.memory_limit; choice.fits says whether it can be.
//
// With layer_offloading streaming and recomputation draw on the same memory: as many blocks as fit
// are resident first, with everything recomputed that may be.
StepPlan plan_step(const PlanRequest& request);
// The same with what is known of it already; `peaks` are those of step_shape(request).
StepPlan plan_step(const PlanRequest& request, fit::StepPeaks& peaks, const RunLoad& load);

// An evaluation as it will be held, beside a model that is loaded as `plan` has it. Refers to both.
EvaluationRequest evaluation_request(const PlanRequest& request, const StepPlan& plan);

// The same of a model that is loaded as `plan` has it, from `start` on.
fit::Choice choose_from(const PlanRequest& request, const RunPlan& plan,
                        const fit::StepSettings& start);

// What `deterministic` costs in memory on a GPU, where it is asked for there.
std::optional<std::string> deterministic_note(const PlanRequest& request, const RunPlan& plan);

// Which attention a model takes as it is loaded, where that is not FlashAttention-2 alone.
std::optional<std::string> attention_note(const model::ModelOptions& model);

// Throws Error kDoesNotFit, with what would help (training/does_not_fit.h), where a step or an
// evaluation does not fit into memory_limit; nothing of the size of the weights is loaded before.
RunPlan plan_run(const PlanRequest& request);

}  // namespace rung::training
