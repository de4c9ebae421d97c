// How many examples an evaluation holds at a time: as many as asked for, or fewer where these do
// not fit. Its figures are the same up to the order of a sum, so that nobody has to choose.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/run_config.h"
#include "data/example_sizes.h"
#include "fit/evaluation_memory.h"

namespace rung::training {

struct EvaluationRequest {
  const RunConfig& config;
  const format::ModelConfig& model;
  const model::ModelOptions& options;               // as it is loaded
  std::optional<model::AdapterOptions> adapter;     // absent: the base model alone
  std::optional<step::OptimizerOptions> optimizer;  // absent: nothing beside the model
  data::ExampleSizes examples;
  model::MemorySettings memory;  // tiles and head chunks count
  int64_t limit = 0;             // bytes
};

struct EvaluationPlan {
  int64_t wanted_batch_size = 0;  // eval_batch_size, else micro_batch_size
  int64_t batch_size = 0;         // examples at a time; at most as many as wanted
  model::MemorySettings memory;   // with smaller head chunks where it takes them
  bool fits = true;               // false: not even one example at a time, which is `peak` then
  int64_t peak = 0;               // bytes of tensors in the largest batch; 0 without examples

  // One line where the wanted size does not fit.
  std::optional<std::string> note() const;
};

// The largest batch size up to the wanted one whose peak stays within the limit, and smaller head
// chunks where one example at a time takes them; `fits` says whether there is one.
EvaluationPlan choose_evaluation(const EvaluationRequest& request);

// What is said of one that does not fit.
Error evaluation_misfit(const EvaluationRequest& request, const EvaluationPlan& plan);

// choose_evaluation(); throws evaluation_misfit(), kDoesNotFit, where it does not fit.
EvaluationPlan plan_evaluation(const EvaluationRequest& request);

}  // namespace rung::training
