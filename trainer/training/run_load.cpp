#include "training/run_load.h"

#include "data/epoch_length.h"
#include "training/run_plan.h"

namespace rung::training {

RunLoad load_of(const PlanRequest& request) {
  data::LoaderOptions options = loader_options(request.config);
  const int64_t in_epoch = data::steps_in_epoch(request.examples, options);
  options.gradient_accumulation_steps = 1;
  const int64_t micro_batches_in_epoch = data::steps_in_epoch(request.examples, options);
  RunLoad load{.steps = total_steps(request.config, in_epoch)};
  const double epochs = static_cast<double>(load.steps) / static_cast<double>(in_epoch);
  load.micro_batches = epochs * static_cast<double>(micro_batches_in_epoch);
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
