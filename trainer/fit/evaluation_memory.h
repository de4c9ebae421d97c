// What an evaluation takes, found by running one of its batches on the meta device.
#pragma once

#include <optional>

#include "data/loader.h"
#include "format/model_config.h"
#include "memory/counter.h"
#include "model/transformer.h"
#include "step/optimizer.h"

namespace rung::fit {

struct EvaluationShape {
  format::ModelConfig config;
  model::ModelOptions model;  // its device is ignored, but for what it stands for
  std::optional<model::AdapterOptions> adapter;     // absent: the base model alone
  std::optional<step::OptimizerOptions> optimizer;  // absent: nothing beside the model
  data::MicroBatch batch;                           // the largest; token values are not looked at
  model::MemorySettings memory = {};                // tiles and head chunks count
};

// Peak of tensor bytes, from an empty process to the end of the batch.
memory::Usage evaluation_memory(const EvaluationShape& shape);

// What that takes of the device that the model stands for (device_peak).
int64_t evaluation_peak(const EvaluationShape& shape);

}  // namespace rung::fit
