// A model that has shapes and no memory, as the first thing of a count.
#pragma once

#include <optional>

#include "format/model_config.h"
#include "model/transformer.h"

namespace rung::fit {

// Restarts the peak of meta_counter() and builds the model on the meta device, whatever device
// `options` names. Throws c10::Error where the count is not empty: one meta run at a time.
model::Transformer make_meta_model(const format::ModelConfig& config, model::ModelOptions options,
                                   const std::optional<model::AdapterOptions>& adapter);

}  // namespace rung::fit
