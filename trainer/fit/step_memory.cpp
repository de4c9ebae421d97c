#include "fit/step_memory.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/units.h"
#include "memory/counting_allocator.h"
#include "step/optimizer.h"
#include "step/step.h"

namespace rung::fit {
namespace {

// Feeds the allocator's model. What does not fit is counted as a failure, and the step goes on.
class CachingObserver final : public memory::AllocationObserver {
 public:
  explicit CachingObserver(const memory::CachingOptions& options) : model_(options) {}
  void allocated(uint64_t id, int64_t bytes) override { model_.allocate(id, bytes); }
  void freed(uint64_t id) override { model_.free(id); }
  memory::CachingStats stats() const { return model_.stats(); }

 private:
  memory::CachingModel model_;
};

}  // namespace

memory::Usage step_memory(const StepShape& shape, int64_t num_recomputed) {
  memory::Counter& counter = memory::meta_counter();
  TORCH_CHECK(counter.usage().live == 0, "another meta run is under way");
  counter.reset_peak();
  model::ModelOptions options = shape.model;
  options.device = c10::kMeta;
  model::Transformer model(shape.config, nullptr, options);
  model.add_adapter(shape.adapter);
  step::Optimizer optimizer(model.adapter().parameters(), {});
  step::run_step(model, optimizer, shape.batch, {}, {.num_recomputed = num_recomputed});
  return counter.usage();
}

CudaStepMemory cuda_step_memory(const StepShape& shape, int64_t num_recomputed,
                                const memory::CachingOptions& options) {
  CachingObserver observer(options);
  const memory::MetaObservation observation(observer);
  const memory::Usage counted = step_memory(shape, num_recomputed);
  return {.counted = counted, .caching = observer.stats()};
}

int64_t choose_num_recomputed(const StepShape& shape, int64_t limit) {
  const auto fits = [&](int64_t num_recomputed) {
    return step_memory(shape, num_recomputed).peak <= limit;
  };
  int64_t high = shape.config.num_layers;
  if (!fits(high)) {
    throw Error(
        ExitCode::kDoesNotFit,
        {.what = "a training step does not fit, even with every block recomputed",
         .got = format_bytes(step_memory(shape, high).peak),
         .expected = fmt::format("at most {} (memory_limit, or what is free)", format_bytes(limit)),
         .hint = "lower micro_batch_size (and raise gradient_accumulation_steps), or "
                 "sequence_len"});
  }
  // The peak falls as blocks are recomputed, so the boundary can be bisected.
  int64_t low = 0;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (fits(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace rung::fit
