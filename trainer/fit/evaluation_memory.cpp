#include "fit/evaluation_memory.h"

#include "fit/device_peak.h"
#include "fit/meta_model.h"
#include "memory/counting_allocator.h"
#include "step/optimizer.h"

namespace rung::fit {

memory::Usage evaluation_memory(const EvaluationShape& shape) {
  const model::Transformer model = make_meta_model(shape.config, shape.model, shape.adapter);
  std::optional<step::Optimizer> optimizer;
  if (shape.optimizer) optimizer.emplace(model.adapter().parameters(), *shape.optimizer);
  model.loss(shape.batch, shape.memory);
  return memory::meta_counter().usage();
}

int64_t evaluation_peak(const EvaluationShape& shape) {
  return device_peak(shape.model.stands_for, [&] { return evaluation_memory(shape); });
}

}  // namespace rung::fit
