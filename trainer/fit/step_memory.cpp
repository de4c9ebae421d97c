#include "fit/step_memory.h"

#include "memory/counting_allocator.h"
#include "step/optimizer.h"
#include "step/step.h"

namespace rung::fit {
memory::Usage step_memory(const StepShape& shape, int64_t num_recomputed) {
  memory::Counter& counter = memory::meta_counter();
  TORCH_CHECK(counter.usage().live == 0, "another meta run is under way");
  counter.reset_peak();
  model::ModelOptions options = shape.model;
  options.device = c10::kMeta;
  model::Transformer model(shape.config, nullptr, options);
  model.add_adapter(shape.adapter);
  step::Optimizer optimizer(model.adapter().parameters(), {});
  step::run_step(model, optimizer, shape.batch, {},
                 {.num_recomputed = num_recomputed, .dequantisation = shape.dequantisation});
  return counter.usage();
}

CudaMemory cuda_step_memory(const StepShape& shape, int64_t num_recomputed,
                            const memory::CachingOptions& options) {
  return observe_cuda([&] { return step_memory(shape, num_recomputed); }, options);
}

int64_t step_peak(const StepShape& shape, int64_t num_recomputed) {
  return device_peak(shape.model.stands_for, [&] { return step_memory(shape, num_recomputed); });
}

std::optional<int64_t> choose_num_recomputed(const StepShape& shape, int64_t limit) {
  const auto fits = [&](int64_t num_recomputed) {
    return step_peak(shape, num_recomputed) <= limit;
  };
  int64_t high = shape.config.num_layers;
  if (!fits(high)) return std::nullopt;
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
