#include "fit/meta_model.h"

#include "memory/counting_allocator.h"
#include "memory/transfers.h"

namespace rung::fit {

model::Transformer make_meta_model(const format::ModelConfig& config, model::ModelOptions options,
                                   const std::optional<model::AdapterOptions>& adapter) {
  memory::Counter& counter = memory::meta_counter();
  TORCH_CHECK(counter.usage().live == 0, "another meta run is under way");
  counter.reset_peak();
  memory::transfers_of(c10::kMeta).host_counter().reset_peak();
  memory::transfers_of(c10::kMeta).pinned_counter().reset_peak();
  options.device = c10::kMeta;
  model::Transformer model(config, nullptr, options);
  if (adapter) model.add_adapter(*adapter);
  return model;
}

}  // namespace rung::fit
