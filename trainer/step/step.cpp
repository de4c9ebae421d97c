#include "step/step.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ops/adamw.h"

namespace rung::step {
namespace {

// Added to the norm before dividing, as torch does.
constexpr double kClipEpsilon = 1e-6;

double clip_scale(double grad_norm, double max_grad_norm) {
  if (max_grad_norm <= 0.0) return 1.0;
  return std::min(1.0, max_grad_norm / (grad_norm + kClipEpsilon));
}

double scale_of(const StepOptions& options) {
  return options.loss_scale ? options.loss_scale->value() : 1.0;
}

// A smaller scale may help: the loss, which it does not touch, is finite.
bool overflowed(const StepResult& result) {
  return result.outcome == StepOutcome::kNotFinite && std::isfinite(result.loss);
}

}  // namespace

StepResult compute_gradients(model::Transformer& model, const data::StepBatch& batch, int64_t index,
                             const StepOptions& options) {
  at::Tensor gradients = model.adapter().gradients();
  if (!gradients.is_meta()) gradients.zero_();
  const auto supervised = static_cast<double>(batch.num_supervised());
  const double scale = scale_of(options);
  // What the host wants to know of the step, read once at its end: waiting for a device earlier
  // would leave it idle.
  const at::Tensor sums = at::zeros({2}, gradients.options().dtype(c10::kDouble));
  at::Tensor loss_sum = sums.narrow(0, 0, 1);
  StepResult result;
  for (const data::MicroBatch& micro_batch : batch.micro_batches) {
    if (options.should_stop && options.should_stop()) {
      result.outcome = StepOutcome::kStopped;
      return result;
    }
    const at::Tensor loss =
        model.train(micro_batch, {.grad_scale = static_cast<float>(scale / supervised),
                                  .memory = options.memory,
                                  .dropout = {.seed = options.seed, .step = index}});
    if (!loss.is_meta()) loss_sum.add_(loss);
  }
  ops::sum_of_squares(gradients, sums.narrow(0, 1, 1));
  if (sums.is_meta()) return result;
  const at::Tensor read = sums.cpu();
  result.loss = read.const_data_ptr<double>()[0] / supervised;
  result.grad_norm = std::sqrt(read.const_data_ptr<double>()[1]) / scale;
  const bool finite = std::isfinite(result.loss) && std::isfinite(result.grad_norm);
  result.outcome = finite ? StepOutcome::kUpdated : StepOutcome::kNotFinite;
  return result;
}

StepResult run_step(model::Transformer& model, Optimizer& optimizer, const data::StepBatch& batch,
                    const StepPosition& position, const StepOptions& options) {
  const std::optional<LossScale> before =
      options.loss_scale ? std::optional(*options.loss_scale) : std::nullopt;
  StepResult result = compute_gradients(model, batch, position.index, options);
  while (overflowed(result) && options.loss_scale && options.loss_scale->lower()) {
    result = compute_gradients(model, batch, position.index, options);
  }
  if (overflowed(result) && before) {
    // No scale helped, so the scale was not at fault.
    *options.loss_scale = *before;
    options.loss_scale->lower();
  }
  if (result.outcome != StepOutcome::kUpdated) return result;
  optimizer.update(model.adapter().gradients(), position.learning_rate,
                   clip_scale(result.grad_norm, options.max_grad_norm) / scale_of(options));
  if (options.loss_scale) options.loss_scale->accept();
  return result;
}

}  // namespace rung::step
