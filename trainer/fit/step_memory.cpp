#include "fit/step_memory.h"

#include "fit/meta_model.h"
#include "memory/counting_allocator.h"
#include "memory/transfers.h"
#include "step/optimizer.h"
#include "step/step.h"

namespace rung::fit {
namespace {

// A run's model, adapter and optimizer on the meta device, from an empty count on.
struct MetaRun {
  explicit MetaRun(const StepShape& shape)
      : model(make_meta_model(shape.config, shape.model, shape.adapter)),
        optimizer(model.adapter().parameters(), shape.optimizer) {}

  model::Transformer model;
  step::Optimizer optimizer;
};

}  // namespace

memory::Usage resident_memory(const StepShape& shape) {
  const MetaRun run(shape);
  return memory::meta_counter().usage();
}

memory::Usage step_memory(const StepShape& shape) {
  MetaRun run(shape);
  step::run_step(run.model, run.optimizer, shape.batch, {}, {.memory = shape.memory});
  return memory::meta_counter().usage();
}

int64_t host_peak(const StepShape& shape) {
  const bool is_used = shape.model.embedding_on_host || shape.model.num_streamed > 0 ||
                       shape.memory.checkpoints == model::Checkpoints::kOnHost;
  if (!is_used) return 0;
  step_memory(shape);
  return memory::transfers_of(c10::kMeta).host_counter().usage().peak;
}

CudaMemory cuda_step_memory(const StepShape& shape, const memory::CachingOptions& options) {
  return observe_cuda([&] { return step_memory(shape); }, options);
}

int64_t resident_peak(const StepShape& shape) {
  return device_peak(shape.model.stands_for, [&] { return resident_memory(shape); });
}

int64_t step_peak(const StepShape& shape) {
  return device_peak(shape.model.stands_for, [&] { return step_memory(shape); });
}

}  // namespace rung::fit
