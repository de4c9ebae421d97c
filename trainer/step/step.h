// One optimizer step and nothing else: micro-batches, accumulation, clipping, update.
//
// Transactional: parameters and moments change only after every micro-batch is in and the loss and
// the gradient are finite. A step that throws (out of memory) or is not finite leaves nothing
// behind but a used gradient buffer, which the next step clears, and in fp16 a lower loss scale.
// Runs on the CPU and, shapes only, on the meta device.
#pragma once

#include <functional>

#include "data/loader.h"
#include "model/transformer.h"
#include "step/loss_scale.h"
#include "step/optimizer.h"

namespace rung::step {

struct StepOptions {
  double max_grad_norm = 1.0;  // 0 = no clipping
  model::MemorySettings memory;
  uint64_t seed = 42;               // of dropout
  LossScale* loss_scale = nullptr;  // of fp16; null: the loss is not scaled
  // Asked between micro-batches; true ends the step without an update.
  std::function<bool()> should_stop;
};

// Where in the run a step stands.
struct StepPosition {
  int64_t index = 0;           // 0 for the first; keys dropout
  double learning_rate = 0.0;  // of this step
};

enum class StepOutcome { kUpdated, kNotFinite, kStopped };

struct StepResult {
  StepOutcome outcome = StepOutcome::kUpdated;
  double loss = 0.0;       // mean over the step's supervised tokens
  double grad_norm = 0.0;  // before clipping
};

// Runs `batch` through `model` and updates the adapter. The loss of the step is the sum of
// its token losses over the number of its supervised tokens, however it is split. Source of the
// clipping: torch's clip_grad_norm_. Where a scaled gradient overflows, the scale is lowered and
// the step done again: no step is lost to it.
StepResult run_step(model::Transformer& model, Optimizer& optimizer, const data::StepBatch& batch,
                    const StepPosition& position, const StepOptions& options);

// The gradient of `batch` alone, left in model.adapter().gradients(), multiplied by the loss
// scale; returns the loss and the norm without it.
StepResult compute_gradients(model::Transformer& model, const data::StepBatch& batch, int64_t index,
                             const StepOptions& options);

}  // namespace rung::step
