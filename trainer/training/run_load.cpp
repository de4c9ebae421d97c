#include "training/run_load.h"

#include "data/epoch_length.h"
#include "training/run_plan.h"

namespace rung::training {

RunLoad load_of(const PlanRequest& request) {
  const RunConfig& config = request.config;
  const int64_t rows = data::rows_in_epoch(request.examples, loader_options(config));
  const auto in_epoch = [&](int64_t rows_together) {
    return (rows + rows_together - 1) / rows_together;
  };
  const int64_t steps_in_epoch =
      in_epoch(config.micro_batch_size * config.gradient_accumulation_steps);
  RunLoad load{.steps_in_epoch = steps_in_epoch, .steps = total_steps(config, steps_in_epoch)};
  const double epochs = static_cast<double>(load.steps) / static_cast<double>(steps_in_epoch);
  load.micro_batches = epochs * static_cast<double>(in_epoch(config.micro_batch_size));
  fit::StepCounts epoch;
  for (size_t i = 0; i < request.examples.size(); ++i) {
    epoch.add_document(request.examples.num_tokens(i), request.examples.num_supervised(i));
  }
  load.counts = epoch.times(epochs);
  return load;
}

fit::Work work_of(const RunLoad& load, const PlanRequest& request,
                  const model::ModelOptions& model) {
  return {.config = request.model,
          .adapter = request.adapter,
          .model = model,
          .counts = load.counts,
          .micro_batches = load.micro_batches};
}

}  // namespace rung::training
