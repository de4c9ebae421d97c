#include "fit/evaluation_memory.h"

#include "fit/device_peak.h"
#include "memory/counting_allocator.h"
#include "step/optimizer.h"

namespace rung::fit {

memory::Usage evaluation_memory(const EvaluationShape& shape) {
  memory::Counter& counter = memory::meta_counter();
  TORCH_CHECK(counter.usage().live == 0, "another meta run is under way");
  counter.reset_peak();
  model::ModelOptions options = shape.model;
  options.device = c10::kMeta;
  model::Transformer model(shape.config, nullptr, options);
  if (shape.adapter) model.add_adapter(*shape.adapter);
  std::optional<step::Optimizer> optimizer;
  if (shape.optimizer) optimizer.emplace(model.adapter().parameters(), *shape.optimizer);
  model.loss(shape.batch, shape.memory);
  return counter.usage();
}

int64_t evaluation_peak(const EvaluationShape& shape) {
  return device_peak(shape.model.stands_for, [&] { return evaluation_memory(shape); });
}

}  // namespace rung::fit
